//! How the arguments of parsed requests become bytes.

use ebb_keyspace::Shared;
use ebb_resp::{Arg, RequestParser};

/// What finds the arguments of a connection's requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finder<'c> {
    pub(super) parser: &'c RequestParser,
    /// Blocks of the large ones.
    pub(super) externals: &'c [Option<Shared>],
}

impl<'c> Finder<'c> {
    /// Adds the bytes of arguments to those of a batch, and notes which lie in blocks.
    pub(crate) fn find(
        self,
        own: &[Arg],
        input: &'c [u8],
        args: &mut Vec<&'c [u8]>,
        shared: &mut Vec<(usize, &'c Shared)>,
    ) {
        if self.externals.is_empty() {
            args.extend(own.iter().map(|arg| self.parser.resolve(arg, input)));
            return;
        }
        for arg in own {
            let bytes = match *arg {
                Arg::External(index) => match &self.externals[index as usize] {
                    Some(value) => {
                        shared.push((args.len(), value));
                        value.as_slice()
                    }
                    // There was no memory for it.
                    None => &[],
                },
                _ => self.parser.resolve(arg, input),
            };
            args.push(bytes);
        }
    }
}
