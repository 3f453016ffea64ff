//! How many passes clients cost that ask the same at the same moment, by each protocol and by both.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use domstats_patience::PATIENCE;
use domstats_rpc::{
    Packet, Status,
    message::{DomainStatsArgs, OpenArgs},
    procedure::{self, ConnectGetAllDomainStats, ConnectOpen, Procedure},
    xdr::List,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::sleep,
};

use crate::{
    config::Config,
    http::Http,
    hypervisors::{Host, Hypervisors},
    net::source::Source,
    rpc::Server,
};

/// The clients of each protocol.
const CLIENTS: usize = 20;

/// A daemon whose passes take a second, in which all clients of a test can ask.
struct Daemon {
    hypervisors: Hypervisors,
    server: Arc<Server>,
    http: SocketAddr,
    _stop: watch::Sender<bool>,
}

impl Daemon {
    async fn start() -> Self {
        let config = Config {
            connect: vec!["test:///default?slow=vm1:1s".to_owned()],
            timeout: PATIENCE,
            ..Config::default()
        };
        let hypervisors = Hypervisors::new(Arc::new(Host::new(&config)), config.timeout);
        let server = Arc::new(Server::new(hypervisors.clone(), &config.rpc));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let http =
            Http::new(&config, vec![address], hypervisors.clone(), Arc::clone(&server)).unwrap();
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(http.serve(vec![listener], stopped));
        Self { hypervisors, server, http: address, _stop: stop }
    }

    /// Connects clients, sends the query of the first, and those of all others while its pass is in flight.
    /// Returns how many passes answered them.
    async fn passes(&self, rpc: usize, http: usize) -> u64 {
        let mut clients = Vec::new();
        for _ in 0..rpc {
            clients.push(Client::Rpc(self.connect_rpc().await));
        }
        for _ in 0..http {
            clients.push(Client::Http(TcpStream::connect(self.http).await.unwrap()));
        }
        let passes = || self.hypervisors.counters.passes.load(Ordering::Relaxed);
        clients[0].send().await;
        while passes() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        for client in &mut clients[1..] {
            client.send().await;
        }
        for client in clients {
            client.receive().await;
        }
        passes()
    }

    async fn connect_rpc(&self) -> DuplexStream {
        let (mut stream, theirs) = tokio::io::duplex(1 << 20);
        tokio::spawn(Arc::clone(&self.server).serve(theirs, Source::User(1000)));
        let args = OpenArgs { name: Some("".into()), flags: 1 };
        stream.write_all(&procedure::call::<ConnectOpen>(0, &args).unwrap()).await.unwrap();
        assert_eq!(reply::<ConnectOpen>(&mut stream).await, Status::Ok);
        stream
    }
}

enum Client {
    Rpc(DuplexStream),
    Http(TcpStream),
}

impl Client {
    /// Asks for the default groups of all domains.
    async fn send(&mut self) {
        match self {
            Self::Rpc(stream) => {
                let args = DomainStatsArgs { domains: List(Vec::new()), stats: 0, flags: 0 };
                let call = procedure::call::<ConnectGetAllDomainStats>(1, &args).unwrap();
                stream.write_all(&call).await.unwrap();
            }
            Self::Http(stream) => {
                let request =
                    "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
                stream.write_all(request.as_bytes()).await.unwrap();
            }
        }
    }

    /// Waits for the answer.
    async fn receive(self) {
        match self {
            Self::Rpc(mut stream) => {
                assert_eq!(reply::<ConnectGetAllDomainStats>(&mut stream).await, Status::Ok);
            }
            Self::Http(mut stream) => {
                let mut text = String::new();
                stream.read_to_string(&mut text).await.unwrap();
                assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
                assert!(text.contains("libvirt_domain_info{domain=\"vm1\""), "{text}");
            }
        }
    }
}

/// Returns the status of the reply to a call.
async fn reply<P: Procedure>(stream: &mut DuplexStream) -> Status {
    let mut packet = vec![0; 4];
    stream.read_exact(&mut packet).await.unwrap();
    let length = u32::from_be_bytes(packet[..].try_into().unwrap()) as usize;
    packet.resize(length, 0);
    stream.read_exact(&mut packet[4..]).await.unwrap();
    let header = Packet::split(&packet).unwrap().unwrap().0.header;
    assert_eq!(header.procedure, P::NUMBER);
    header.status
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_rpc_cost_two_passes() {
    assert_eq!(Daemon::start().await.passes(CLIENTS, 0).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_http_cost_two_passes() {
    assert_eq!(Daemon::start().await.passes(0, CLIENTS).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_rpc_and_http_cost_two_passes_together() {
    assert_eq!(Daemon::start().await.passes(CLIENTS, CLIENTS).await, 2);
}
