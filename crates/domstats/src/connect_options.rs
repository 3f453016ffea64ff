pub struct ConnectOptions {
    pub timeout: std::time::Duration,
}
