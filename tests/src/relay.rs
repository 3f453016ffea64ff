//! A relay from a TCP port to a Unix socket, which makes a daemon reachable through both.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

/// A running relay. Its connections are closed on drop.
#[derive(Debug)]
pub struct Relay {
    /// Its port on 127.0.0.1.
    pub port: u16,
    clients: Clients,
    calls: Calls,
    thread: Option<JoinHandle<()>>,
}

/// All accepted clients; `None` when the relay has ended.
type Clients = Arc<Mutex<Option<Vec<TcpStream>>>>;

/// The procedures that clients of libvirt's protocol called.
type Calls = Arc<Mutex<Vec<i32>>>;

impl Relay {
    /// Starts a relay to this socket.
    #[must_use]
    pub fn start(socket: &Path) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let clients: Clients = Arc::new(Mutex::new(Some(Vec::new())));
        let calls = Calls::default();
        let (socket, shared, counted) =
            (socket.to_owned(), Arc::clone(&clients), Arc::clone(&calls));
        let thread = thread::spawn(move || serve(&listener, &socket, &shared, &counted));
        Self { port, clients, calls, thread: Some(thread) }
    }

    /// Returns the numbers of the procedures that clients have called since the last call of this.
    #[must_use]
    pub fn take_calls(&self) -> Vec<i32> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

fn serve(listener: &TcpListener, socket: &Path, clients: &Clients, calls: &Calls) {
    thread::scope(|scope| {
        for client in listener.incoming() {
            let client = Arc::new(client.unwrap());
            match &mut *clients.lock().unwrap() {
                Some(clients) => clients.push(client.try_clone().unwrap()),
                None => break,
            }
            // If the daemon is gone, closes the client's connection as well.
            let Ok(server) = UnixStream::connect(socket).map(Arc::new) else {
                let _ = client.shutdown(Shutdown::Both);
                continue;
            };
            let (to_server, to_client) = (Arc::clone(&server), Arc::clone(&client));
            scope.spawn(move || {
                let _ = pass_calls(&client, &to_server, calls);
                let _ = to_server.shutdown(Shutdown::Both);
            });
            scope.spawn(move || {
                let _ = io::copy(&mut &*server, &mut &*to_client);
                let _ = to_client.shutdown(Shutdown::Both);
            });
        }
    });
}

/// Forwards packets: a length that includes itself, the program and its version, the procedure.
fn pass_calls(mut client: &TcpStream, mut server: &UnixStream, calls: &Calls) -> io::Result<()> {
    let mut head = [0; 16];
    loop {
        client.read_exact(&mut head)?;
        let word = |place: usize| head[4 * place..][..4].try_into().map(u32::from_be_bytes);
        let [length, procedure] = [0, 3].map(|place| word(place).unwrap());
        calls.lock().unwrap().push(procedure.cast_signed());
        server.write_all(&head)?;
        let rest = u64::from(length).saturating_sub(head.len() as u64);
        io::copy(&mut client.take(rest), &mut server)?;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let clients = self.clients.lock().unwrap().take();
        for client in clients.into_iter().flatten() {
            let _ = client.shutdown(Shutdown::Both);
        }
        // Wakes the thread, which then notices that it is over.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
