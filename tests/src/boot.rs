//! A guest in 43 bytes: it reads a sector of its first disk, writes another, sleeps, and repeats.

/// Assembled by hand: 16-bit code that the BIOS loads to 0x7c00 and jumps to.
#[rustfmt::skip]
const CODE: &[u8] = &[
    0x31, 0xC0,             //        xor  ax, ax
    0x8E, 0xD8,             //        mov  ds, ax
    0x8E, 0xC0,             //        mov  es, ax
    0x8E, 0xD0,             //        mov  ss, ax
    0xBC, 0x00, 0x7C,       //        mov  sp, 0x7c00      stack below the code
                            // again:
    0xB8, 0x01, 0x02,       //        mov  ax, 0x0201      read, one sector
    0xBB, 0x00, 0x80,       //        mov  bx, 0x8000      to es:bx
    0xB9, 0x02, 0x00,       //        mov  cx, 0x0002      cylinder 0, sector 2
    0xBA, 0x80, 0x00,       //        mov  dx, 0x0080      head 0, first disk
    0xCD, 0x13,             //        int  0x13
    0xB8, 0x01, 0x03,       //        mov  ax, 0x0301      write, one sector
    0xBB, 0x00, 0x80,       //        mov  bx, 0x8000      from es:bx
    0xB9, 0x03, 0x00,       //        mov  cx, 0x0003      cylinder 0, sector 3
    0xBA, 0x80, 0x00,       //        mov  dx, 0x0080      head 0, first disk
    0xCD, 0x13,             //        int  0x13
    0xFB,                   //        sti
    0xF4,                   //        hlt                  until the timer's next tick, 55 ms
    0xEB, 0xE0,             //        jmp  again
];

/// Size of a sector.
pub const SECTOR: usize = 512;

/// Returns the sector, with the mark that a BIOS looks for.
#[must_use]
pub fn sector() -> [u8; SECTOR] {
    let mut sector = [0; SECTOR];
    sector[..CODE.len()].copy_from_slice(CODE);
    sector[SECTOR - 2..].copy_from_slice(&[0x55, 0xAA]);
    sector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_back_to_the_read() {
        let again = CODE.windows(3).position(|at| at == [0xB8, 0x01, 0x02]);
        let distance = i8::from_le_bytes([*CODE.last().unwrap()]);
        let target = CODE.len().checked_add_signed(isize::from(distance));
        assert_eq!(target, again);
    }
}
