//! Feeds a stream of requests whole and in two parts: nothing may panic, and both must give the same outcome.
#![no_main]

use ebb_resp::{Arg, Limits, Progress, ProtocolError, RequestParser};
use libfuzzer_sys::fuzz_target;

/// The arguments of each command, and how the stream ended.
type Outcome = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

fuzz_target!(|input: (u8, u16, &[u8])| {
    let (flags, cut, stream) = input;
    let limits = Limits {
        max_bulk_len: 1 << 16,
        external_bulk_min: if flags & 1 == 0 { 4 } else { 64 },
        inline_span_max: if flags & 2 == 0 { 32 } else { u32::MAX },
        authenticated: flags & 4 == 0,
    };
    let (head, tail) = stream.split_at(usize::from(cut).min(stream.len()));
    assert_eq!(receive(&[stream], &limits), receive(&[head, tail], &limits));
});

fn receive(parts: &[&[u8]], limits: &Limits) -> Outcome {
    let (mut parser, mut args, mut buffer) = (RequestParser::new(), Vec::new(), Vec::new());
    let mut externals: Vec<Vec<u8>> = Vec::new();
    let mut commands = Vec::new();
    for part in parts {
        buffer.extend_from_slice(part);
        loop {
            match parser.parse(&buffer, limits, &mut args) {
                Err(error) => return (commands, Some(error)),
                Ok(Progress::Incomplete) => break,
                Ok(Progress::Empty { consumed }) => drop(buffer.drain(..consumed)),
                Ok(Progress::NeedBulk { index, len, offset }) => {
                    externals.resize(index as usize + 1, Vec::new());
                    let payload = &mut externals[index as usize];
                    let taken = (len - payload.len()).min(buffer.len() - offset);
                    payload.extend(buffer.drain(offset..offset + taken));
                    if payload.len() < len {
                        break;
                    }
                    parser.external_done(index);
                }
                Ok(Progress::Command { consumed }) => {
                    let bytes_of = |arg: &Arg| match *arg {
                        Arg::Inline { start, len } => {
                            buffer[start as usize..][..len as usize].to_vec()
                        }
                        Arg::Scratch { start, len } => {
                            parser.scratch()[start as usize..][..len as usize].to_vec()
                        }
                        Arg::External(index) => externals[index as usize].clone(),
                    };
                    commands.push(args.iter().map(bytes_of).collect());
                    buffer.drain(..consumed);
                    args.clear();
                    externals.clear();
                    parser.clear_scratch();
                }
            }
        }
    }
    (commands, None)
}
