use crate::{connect_options::ConnectOptions, error::Result, uri::Uri};
use std::path::PathBuf;
#[derive(Debug)]
pub(super) struct Address {
    pub(super) name: String,
    pub(super) auth: Option<Auth>,
    pub(super) socket: PathBuf,
}
#[derive(Debug)]
pub(super) enum Auth {
    None,
    Sasl(Option<String>),
    Polkit,
}
pub(crate) fn serves(scheme: &str) -> bool {
    scheme != "qemu+qmp" && scheme != "test"
}
impl Address {
    pub(super) fn new(uri: &Uri, _: &ConnectOptions) -> Result<Self> {
        let socket = uri.query.iter().find(|(k, _)| k == "socket").unwrap().1.clone().into();
        let driver = uri.scheme.split('+').next().unwrap();
        Ok(Self { name: format!("{driver}://{}", uri.path), auth: None, socket })
    }
}
