//! The life of the daemon: start, reload, end.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::{
    args::Args,
    config::{self, Config},
    http::{Control, Http, HttpError, Pusher},
    hypervisors::{Host, Hypervisors},
    log::Log,
    net::listen::{self, UnixSocket},
    rpc::{self, Server, Tls},
    systemd::{self, Sockets},
};

/// What could not be started, and why.
pub(crate) struct Failure(pub(crate) String);

fn cannot<E: std::fmt::Display>(what: String) -> impl FnOnce(E) -> Failure {
    move |error| Failure(format!("{what}: {error}"))
}

/// How long HTTP responses in flight may take at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Serves until a signal ends it.
pub(crate) async fn run(args: Args, config: Config, log: &Log) -> Result<(), Failure> {
    // First, so that no signal is lost during the start.
    let signals = Signals::new().map_err(cannot("cannot wait for signals".to_owned()))?;
    let given = Sockets::take().map_err(Failure)?;
    let hypervisors = Hypervisors::new(Arc::new(Host::new(&config)), config.timeout);
    let server = Arc::new(Server::new(hypervisors.clone(), &config.rpc));
    let unix = start_unix(given.rpc, &config.rpc, &server)?;
    let tls = start_tls(given.rpc_tls, &config.rpc, &server).await?;

    let addresses = match given.http.as_slice() {
        [] => Ok(vec![config.http.listen]),
        given => given.iter().map(std::net::TcpListener::local_addr).collect(),
    };
    let addresses = addresses.map_err(cannot("cannot serve HTTP".to_owned()))?;
    let http = Http::new(&config, addresses, hypervisors.clone(), server)
        .map_err(|error| Failure(error.to_string()))?;
    let listeners = listeners(given.http, Some(config.http.listen), "HTTP").await?;
    for listener in &listeners {
        tracing::info!(address = %address_of(listener), "serving HTTP");
    }
    let control = http.control();
    let (stop, stopped) = watch::channel(false);
    let http = tokio::spawn(http.serve(listeners, stopped));
    let mut daemon = Daemon {
        args,
        log,
        hypervisors: hypervisors.clone(),
        tls,
        control,
        pusher: JoinSet::new(),
    };
    daemon.push(&config.otlp).map_err(|error| Failure(error.to_string()))?;

    systemd::ready();
    daemon.live(signals, config).await;
    systemd::stopping();
    for unix in unix {
        // The file of its socket goes with it.
        unix.abort();
        let _ = unix.await;
    }
    stop.send_replace(true);
    let _ = tokio::time::timeout(LAST_ANSWERS, http).await;
    hypervisors.close();
    Ok(())
}

/// Serves libvirt's protocol on systemd's Unix sockets, else on the configured one. Returns the tasks.
fn start_unix(
    given: Vec<std::os::unix::net::UnixListener>,
    config: &config::Rpc,
    server: &Arc<Server>,
) -> Result<Vec<JoinHandle<()>>, Failure> {
    let mut sockets = Vec::new();
    for listener in given {
        let address = listener.local_addr();
        let path = address.ok().and_then(|address| Some(address.as_pathname()?.to_owned()));
        sockets.push((path.unwrap_or_default(), UnixSocket::given(listener)));
    }
    if let (Some(path), true) = (&config.socket, sockets.is_empty()) {
        sockets.push((path.clone(), UnixSocket::make(path, config.group.as_deref())));
    }
    let serve = |(path, socket): (PathBuf, io::Result<UnixSocket>)| {
        let path = path.display();
        let socket = socket.map_err(cannot(format!("cannot serve the socket {path}")))?;
        tracing::info!(socket = %path, "serving libvirt's protocol");
        Ok(tokio::spawn(rpc::serve_unix(socket, Arc::clone(server))))
    };
    sockets.into_iter().map(serve).collect()
}

/// Serves libvirt's protocol over TLS on systemd's sockets, else at the configured address. Returns the
/// certificates, if it does.
async fn start_tls(
    given: Vec<std::net::TcpListener>,
    config: &config::Rpc,
    server: &Arc<Server>,
) -> Result<Option<Arc<Tls>>, Failure> {
    let listeners = listeners(given, config.tls, "TLS").await?;
    if listeners.is_empty() {
        return Ok(None);
    }
    let tls = Arc::new(Tls::load(&config.pki).map_err(cannot("cannot serve TLS".to_owned()))?);
    for listener in listeners {
        tracing::info!(address = %address_of(&listener), "serving libvirt's protocol over TLS");
        tokio::spawn(rpc::serve_tls(listener, Arc::clone(&tls), Arc::clone(server)));
    }
    Ok(Some(tls))
}

/// Returns systemd's sockets, else one at the configured address.
async fn listeners(
    given: Vec<std::net::TcpListener>,
    address: Option<SocketAddr>,
    what: &str,
) -> Result<Vec<TcpListener>, Failure> {
    let take = |listener: std::net::TcpListener| {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    };
    let mut listeners = given
        .into_iter()
        .map(take)
        .collect::<io::Result<Vec<_>>>()
        .map_err(cannot(format!("cannot serve {what} on a socket of systemd")))?;
    if let (Some(address), true) = (address, listeners.is_empty()) {
        let listener = TcpListener::bind(address).await;
        listeners.push(listener.map_err(cannot(format!("cannot listen for {what} on {address}")))?);
    }
    Ok(listeners)
}

fn address_of(listener: &TcpListener) -> String {
    listener.local_addr().map_or_else(|error| error.to_string(), |address| address.to_string())
}

/// Reads the files that the configuration names, as [`run`] would.
pub(crate) fn check(config: &Config) -> Result<(), Failure> {
    let hypervisors = Hypervisors::new(Arc::new(Host::new(config)), config.timeout);
    let server = Arc::new(Server::new(hypervisors.clone(), &config.rpc));
    Http::new(config, vec![config.http.listen], hypervisors, server)
        .and_then(|http| http.control().pusher(&config.otlp))
        .map_err(|error| Failure(error.to_string()))?;
    if let Some(group) = &config.rpc.group {
        listen::group_id(group).map_err(cannot("rpc.group".to_owned()))?;
    }
    if config.rpc.tls.is_some() {
        Tls::load(&config.rpc.pki).map_err(cannot("cannot serve TLS".to_owned()))?;
    }
    Ok(())
}

/// The signals that the daemon handles.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

/// The parts that run, and that a reload changes.
struct Daemon<'a> {
    args: Args,
    log: &'a Log,
    hypervisors: Hypervisors,
    tls: Option<Arc<Tls>>,
    control: Control,
    /// The task that pushes metrics to a collector.
    pusher: JoinSet<()>,
}

impl Daemon<'_> {
    /// Handles signals; returns when one ends the daemon.
    async fn live(&mut self, mut signals: Signals, mut config: Config) {
        let watchdog = systemd::watchdog();
        loop {
            let alive = async {
                match watchdog {
                    Some(interval) => tokio::time::sleep(interval).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = signals.terminate.recv() => return,
                _ = signals.interrupt.recv() => return,
                () = alive => systemd::alive(),
                _ = signals.hangup.recv() => {
                    systemd::reloading();
                    match self.args.settings() {
                        Ok(new) => {
                            self.reload(&config, &new);
                            config = new;
                        }
                        // The old configuration stays.
                        Err(error) => tracing::error!(%error, "the configuration was not read again"),
                    }
                    systemd::ready();
                }
            }
        }
    }

    /// Pushes metrics as configured now, and no longer as before.
    fn push(&mut self, otlp: &config::Otlp) -> Result<(), HttpError> {
        let pusher = self.control.pusher(otlp)?;
        self.pusher = pusher.into_iter().map(Pusher::run).collect();
        Ok(())
    }

    /// Applies the settings that can change while clients are connected, and logs those that cannot.
    fn reload(&mut self, old: &Config, new: &Config) {
        self.log.change(&new.log);
        if (&new.connect, new.timeout) != (&old.connect, old.timeout) {
            self.hypervisors.replace(Arc::new(Host::new(new)), new.timeout);
        }
        if let Some(tls) = &self.tls
            && let Err(error) = tls.reload(&new.rpc.pki)
        {
            tracing::error!(%error, "the certificates were not read again");
        }
        if let Err(error) = self.control.reload(&new.http) {
            tracing::error!(%error, "the tokens and certificates of HTTP were not read again");
        }
        if let Err(error) = self.push(&new.otlp) {
            tracing::error!(%error, "metrics are pushed as before");
        }
        let http = config::Http {
            certificate: old.http.certificate.clone(),
            key: old.http.key.clone(),
            client_ca: old.http.client_ca.clone(),
            token_file: old.http.token_file.clone(),
            ..new.http.clone()
        };
        let rpc = config::Rpc { pki: old.rpc.pki.clone(), ..new.rpc.clone() };
        if (http, rpc) != (old.http.clone(), old.rpc.clone()) {
            tracing::warn!(
                "sockets, and what clients may take, change only when the daemon is started again"
            );
        }
        tracing::info!("the configuration was read again");
    }
}
