//! A relay from a TCP port to a Unix socket: a daemon that listens there by either.

use std::{
    io,
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

/// A running relay. Its connections are cut when it is dropped.
#[derive(Debug)]
pub struct Relay {
    /// Its port on 127.0.0.1.
    pub port: u16,
    clients: Clients,
    thread: Option<JoinHandle<()>>,
}

/// All clients that came; none when it is over.
type Clients = Arc<Mutex<Option<Vec<TcpStream>>>>;

impl Relay {
    /// Starts a relay to this socket.
    #[must_use]
    pub fn start(socket: &Path) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let clients: Clients = Arc::new(Mutex::new(Some(Vec::new())));
        let (socket, shared) = (socket.to_owned(), Arc::clone(&clients));
        let thread = thread::spawn(move || serve(&listener, &socket, &shared));
        Self { port, clients, thread: Some(thread) }
    }
}

fn serve(listener: &TcpListener, socket: &Path, clients: &Clients) {
    thread::scope(|scope| {
        for client in listener.incoming() {
            let client = Arc::new(client.unwrap());
            match &mut *clients.lock().unwrap() {
                Some(clients) => clients.push(client.try_clone().unwrap()),
                None => break,
            }
            // A daemon that is gone: the client is let go as well.
            let Ok(server) = UnixStream::connect(socket).map(Arc::new) else {
                let _ = client.shutdown(Shutdown::Both);
                continue;
            };
            let (to_server, to_client) = (Arc::clone(&server), Arc::clone(&client));
            scope.spawn(move || {
                let _ = io::copy(&mut &*client, &mut &*to_server);
                let _ = to_server.shutdown(Shutdown::Both);
            });
            scope.spawn(move || {
                let _ = io::copy(&mut &*server, &mut &*to_client);
                let _ = to_client.shutdown(Shutdown::Both);
            });
        }
    });
}

impl Drop for Relay {
    fn drop(&mut self) {
        let clients = self.clients.lock().unwrap().take();
        for client in clients.into_iter().flatten() {
            let _ = client.shutdown(Shutdown::Both);
        }
        // Wakes the thread, which finds that it is over.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
