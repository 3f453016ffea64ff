use super::address::{Address, Transport};
use crate::error::*;
use std::{
    io::{self, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    time::Instant,
};
pub(super) trait Stream: AsFd + Send {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    fn flush(&mut self) -> io::Result<bool>;
    fn last_words(&mut self) -> Option<String> {
        None
    }
    fn is_secure(&self) -> bool;
    fn wants_write(&self) -> bool {
        false
    }
}
impl Stream for UnixStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(self, buffer)
    }
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(self, bytes)
    }
    fn flush(&mut self) -> io::Result<bool> {
        Ok(true)
    }
    fn is_secure(&self) -> bool {
        true
    }
}
pub(super) fn connect(address: &Address, _: Instant) -> Result<Box<dyn Stream>> {
    let Transport::Unix { sockets } = &address.transport else { todo!() };
    let s = UnixStream::connect(sockets.iter().find(|s| s.exists()).unwrap_or(&sockets[0]))
        .map_err(|e| Error::new(ErrorKind::NoConnect, ErrorOrigin::Rpc, "connect").because(e))?;
    s.set_nonblocking(true).unwrap();
    Ok(Box::new(s))
}
