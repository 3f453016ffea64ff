//! The life of the daemon: it starts, is told to read its configuration again, and ends.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use crate::{
    args::Args,
    config::{self, Config},
    host::Host,
    http::{Access, Http},
    listen::{self, UnixSocket},
    pass::Passes,
    rpc::{Server, Tls},
    systemd::{self, Sockets},
};

/// What could not be started, and why.
pub(crate) struct Failure(pub(crate) String);

fn cannot<E: std::fmt::Display>(what: String) -> impl FnOnce(E) -> Failure {
    move |error| Failure(format!("{what}: {error}"))
}

/// How long the answers by HTTP may take that are under way at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Serves until a signal says that it is enough.
pub(crate) async fn run(args: Args, config: Config) -> Result<(), Failure> {
    // First: a signal that comes while it starts is not lost.
    let signals = Signals::new().map_err(cannot("cannot wait for signals".to_owned()))?;
    let given = Sockets::take();
    let passes = Passes::new(Arc::new(Host::new(&config)), config.timeout);
    let server = Arc::new(Server::new(passes.clone(), &config.rpc));

    let unix = match (given.rpc, &config.rpc.socket) {
        (Some(listener), _) => Some(UnixSocket::given(listener)),
        (None, Some(path)) => Some(UnixSocket::make(path, config.rpc.group.as_deref())),
        (None, None) => None,
    };
    let path = config.rpc.socket.as_deref().unwrap_or("of systemd".as_ref()).display();
    let unix = unix.transpose().map_err(cannot(format!("cannot serve the socket {path}")))?;
    let unix = unix.map(|unix| {
        tracing::info!(socket = %path, "serving libvirt's protocol");
        tokio::spawn(serve_unix(unix, Arc::clone(&server)))
    });

    let mut tls = None;
    if config.rpc.tls.is_some() || given.rpc_tls.is_some() {
        let files = Tls::load(&config.rpc.pki).map_err(cannot("cannot serve TLS".to_owned()))?;
        let files = Arc::new(files);
        let listener = match (given.rpc_tls, config.rpc.tls) {
            (Some(listener), _) => tcp(listener),
            (None, Some(address)) => TcpListener::bind(address).await,
            (None, None) => Err(io::ErrorKind::NotFound.into()),
        };
        let listener = listener.map_err(cannot("cannot listen for TLS".to_owned()))?;
        tracing::info!(address = ?listener.local_addr().ok(), "serving libvirt's protocol by TLS");
        tokio::spawn(serve_tls(listener, Arc::clone(&files), Arc::clone(&server)));
        tls = Some(files);
    }

    // A socket of systemd listens where its unit says: who may ask is decided for that address.
    let mut served = config.clone();
    if let Some(listener) = &given.http {
        let address = listener.local_addr();
        served.http.listen = address.map_err(cannot("cannot serve HTTP".to_owned()))?;
    }
    let http =
        Http::new(&served, passes.clone(), server).map_err(|error| Failure(error.to_string()))?;
    let access = http.access();
    let listener = match given.http {
        Some(listener) => tcp(listener),
        None => TcpListener::bind(config.http.listen).await,
    };
    let address = served.http.listen;
    let listener = listener.map_err(cannot(format!("cannot listen on {address}")))?;
    tracing::info!(address = ?listener.local_addr().ok(), "serving HTTP");
    let (stop, stopped) = watch::channel(false);
    let http = tokio::spawn(http.serve(listener, stopped));

    systemd::ready();
    live(signals, &args, config, &passes, tls.as_deref(), &access).await;
    systemd::stopping();
    if let Some(unix) = unix {
        // The file of its socket goes with it.
        unix.abort();
        let _ = unix.await;
    }
    stop.send_replace(true);
    let _ = tokio::time::timeout(LAST_ANSWERS, http).await;
    passes.close();
    Ok(())
}

/// Reads what the configuration names, as [`run`] would.
pub(crate) fn check(config: &Config) -> Result<(), Failure> {
    let passes = Passes::new(Arc::new(Host::new(config)), config.timeout);
    let server = Arc::new(Server::new(passes.clone(), &config.rpc));
    Http::new(config, passes, server).map_err(|error| Failure(error.to_string()))?;
    if config.rpc.tls.is_some() {
        Tls::load(&config.rpc.pki).map_err(cannot("cannot serve TLS".to_owned()))?;
    }
    Ok(())
}

/// What the daemon can be told.
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

/// Waits for signals; returns when one says that it is the end.
async fn live(
    mut signals: Signals,
    args: &Args,
    mut config: Config,
    passes: &Passes,
    tls: Option<&Tls>,
    access: &Access,
) {
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
                match args.settings() {
                    Ok(new) => config = reload(config, new, passes, tls, access),
                    // It goes on with what it has.
                    Err(error) => tracing::error!(%error, "the configuration was not read again"),
                }
                systemd::ready();
            }
        }
    }
}

/// Takes over what can change while clients are connected, and says what cannot.
fn reload(old: Config, new: Config, passes: &Passes, tls: Option<&Tls>, access: &Access) -> Config {
    if (&new.connect, new.timeout) != (&old.connect, old.timeout) {
        passes.replace(Arc::new(Host::new(&new)), new.timeout);
    }
    if let Some(tls) = tls
        && let Err(error) = tls.reload(&new.rpc.pki)
    {
        tracing::error!(%error, "the certificates were not read again");
    }
    if let Err(error) = access.reload(&new.http) {
        tracing::error!(%error, "the tokens and certificates of HTTP were not read again");
    }
    let http = config::Http {
        certificate: old.http.certificate.clone(),
        key: old.http.key.clone(),
        client_ca: old.http.client_ca.clone(),
        token_file: old.http.token_file.clone(),
        ..new.http.clone()
    };
    if (&new.rpc.socket, &new.rpc.group, new.rpc.tls)
        != (&old.rpc.socket, &old.rpc.group, old.rpc.tls)
        || http != old.http
        || new.log != old.log
    {
        tracing::warn!(
            "sockets, other settings of HTTP and the log change only when the daemon is started again"
        );
    }
    tracing::info!("the configuration was read again");
    new
}

fn tcp(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn serve_unix(socket: UnixSocket, server: Arc<Server>) {
    loop {
        match socket.listener.accept().await {
            Ok((stream, _)) => {
                let Some(place) = server.admit() else { continue };
                let server = Arc::clone(&server);
                tokio::spawn(async move {
                    server.serve(stream, true).await;
                    drop(place);
                });
            }
            Err(error) => listen::refused(&error).await,
        }
    }
}

async fn serve_tls(listener: TcpListener, tls: Arc<Tls>, server: Arc<Server>) {
    /// How long a client may take to say who it is.
    const PATIENCE: Duration = Duration::from_secs(10);
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                let Some(place) = server.admit() else { continue };
                let (server, tls) = (Arc::clone(&server), Arc::clone(&tls));
                tokio::spawn(async move {
                    match tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
                        Ok(Ok(stream)) => server.serve(stream, true).await,
                        Ok(Err(error)) => tracing::info!(%address, %error, "TLS failed"),
                        Err(_) => tracing::info!(%address, "TLS took too long"),
                    }
                    drop(place);
                });
            }
            Err(error) => listen::refused(&error).await,
        }
    }
}
