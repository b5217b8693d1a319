//! Cells of all option tapes: quotes and greeks of one contract in one bar, side by side.
//!
//! A step of a lane reads one cell. With years of sessions no cell is in the cache when it is needed: quotes and greeks therefore share
//! 32 bytes, half a cache line, and all cells lie in one mapping, for which huge pages are asked.

use std::{fmt, io, num::NonZeroU32};

use memmap2::MmapMut;

use super::tape::{GreekRow, OptionTape};
use crate::{Quote, QuotePair};

/// A cell: bid and ask at the open, bid and ask at the close, in cents (0 for no ask), and the bits of the greeks.
type Cell = [u32; 8];

/// Bytes of the quotes and greeks of one contract in one bar.
pub const CELL_BYTES: usize = size_of::<Cell>();

/// The cells of all sessions, filled one after the other.
pub(crate) struct Cells {
    memory: MmapMut,
    filled: usize,
}

impl Cells {
    /// Reserves room for a number of cells. The system provides the memory when they are filled.
    ///
    /// # Errors
    /// When the system refuses that much memory.
    pub(crate) fn reserve(count: usize) -> io::Result<Self> {
        let memory = MmapMut::map_anon(count.max(1) * CELL_BYTES)?;
        // A system without huge pages reads the same cells, more slowly.
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::HugePage);
        Ok(Self { memory, filled: 0 })
    }

    /// Returns the number of cells that are filled.
    pub(crate) fn len(&self) -> usize {
        self.filled
    }

    /// Adds the cells of a session.
    ///
    /// # Panics
    /// If more cells are added than were reserved.
    pub(crate) fn extend(&mut self, tape: &OptionTape) {
        let more = self.filled..self.filled + tape.quotes.len();
        let cells: &mut [Cell] = bytemuck::cast_slice_mut(&mut self.memory);
        for (index, (cell, quotes)) in cells[more.clone()].iter_mut().zip(&tape.quotes).enumerate() {
            *cell = packed(*quotes, tape.greeks.get(index).copied().unwrap_or_default());
        }
        self.filled = more.end;
    }

    /// Returns the quotes of a cell.
    #[inline]
    pub(crate) fn quotes(&self, cell: usize) -> QuotePair {
        let [open_bid, open_ask, close_bid, close_ask, ..] = self.cells()[cell];
        let quote = |bid, ask| Quote { bid, ask: NonZeroU32::new(ask) };
        QuotePair { open: quote(open_bid, open_ask), close: quote(close_bid, close_ask) }
    }

    /// Returns the greeks of a cell; zeros on tapes without greeks.
    #[inline]
    pub(crate) fn greeks(&self, cell: usize) -> GreekRow {
        let [.., delta, gamma, theta, vega] = self.cells()[cell];
        [delta, gamma, theta, vega].map(f32::from_bits)
    }

    /// Changes the quotes of a cell.
    #[cfg(test)]
    pub(crate) fn change(&mut self, cell: usize, change: impl FnOnce(&mut QuotePair)) {
        let (mut quotes, greeks) = (self.quotes(cell), self.greeks(cell));
        change(&mut quotes);
        let cells: &mut [Cell] = bytemuck::cast_slice_mut(&mut self.memory);
        cells[cell] = packed(quotes, greeks);
    }

    #[inline]
    fn cells(&self) -> &[Cell] {
        bytemuck::cast_slice(&self.memory)
    }
}

impl fmt::Debug for Cells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cells").field("len", &self.filled).finish_non_exhaustive()
    }
}

fn packed(QuotePair { open, close }: QuotePair, greeks: GreekRow) -> Cell {
    let cents = |ask: Option<NonZeroU32>| ask.map_or(0, NonZeroU32::get);
    let [delta, gamma, theta, vega] = greeks.map(f32::to_bits);
    [open.bid, cents(open.ask), close.bid, cents(close.ask), delta, gamma, theta, vega]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_gives_back_what_it_holds() {
        let quote = |bid, ask| Quote { bid, ask: NonZeroU32::new(ask) };
        let quotes = [
            QuotePair { open: quote(120, 123), close: quote(0, 0) },
            QuotePair { open: quote(u32::MAX, 1), close: quote(7, u32::MAX) },
        ];
        let greeks = [[0.5, -0.25, f32::MIN_POSITIVE, 1.0], [-1.0, 0.0, -0.0, f32::MAX]];
        let tape = |greeks: &[GreekRow]| OptionTape {
            lowest: 1,
            strikes: 1,
            quotes: quotes.to_vec(),
            greeks: greeks.to_vec(),
            sizes: Vec::new(),
            chosen: Vec::new(),
            own: Vec::new(),
            origin: crate::QuoteOrigin::default(),
            far_rows: 0,
            columns: Vec::new(),
        };
        let mut cells = Cells::reserve(4).unwrap();
        cells.extend(&tape(&greeks));
        cells.extend(&tape(&[]));
        assert_eq!((cells.len(), CELL_BYTES), (4, 32));
        for cell in 0..4 {
            assert_eq!(cells.quotes(cell), quotes[cell % 2]);
            let expected = if cell < 2 { greeks[cell] } else { [0.0; 4] };
            assert_eq!(cells.greeks(cell).map(f32::to_bits), expected.map(f32::to_bits));
        }
    }
}
