use super::*;
use proptest::prelude::*;

type Command = Vec<Vec<u8>>;

/// A connection's part in the contract of [`RequestParser`], with the simplest means.
#[derive(Default)]
struct Connection {
    parser: Option<RequestParser>,
    buffer: Vec<u8>,
    args: Vec<Arg>,
    externals: Vec<Vec<u8>>,
    /// The bytes still missing from the last external bulk, and where it stands.
    awaited: Option<(u32, usize, usize)>,
    commands: Vec<Command>,
    /// Requests are tried with [`RequestParser::parse_plain`] first.
    plain: bool,
}

impl Connection {
    fn receive(&mut self, bytes: &[u8], limits: &Limits) -> Result<(), ProtocolError> {
        self.buffer.extend_from_slice(bytes);
        let mut parser = self.parser.take().unwrap_or_default();
        let outcome = self.advance(&mut parser, limits);
        self.parser = Some(parser);
        outcome
    }

    fn advance(
        &mut self,
        parser: &mut RequestParser,
        limits: &Limits,
    ) -> Result<(), ProtocolError> {
        loop {
            if let Some((index, len, offset)) = self.awaited {
                let payload = &mut self.externals[index as usize];
                let taken = (len - payload.len()).min(self.buffer.len() - offset);
                payload.extend(self.buffer.drain(offset..offset + taken));
                if payload.len() < len {
                    // Asking again while the payload is awaited gives the same answer.
                    let again = parser.parse(&self.buffer, limits, &mut self.args)?;
                    assert_eq!(again, Progress::NeedBulk { index, len, offset });
                    return Ok(());
                }
                self.awaited = None;
                parser.external_done(index);
            }
            let plain =
                self.plain.then(|| parser.parse_plain(&self.buffer, 0, limits, &mut self.args));
            let progress = match plain.flatten() {
                Some(consumed) => Progress::Command { consumed },
                None => parser.parse(&self.buffer, limits, &mut self.args)?,
            };
            match progress {
                Progress::Incomplete => return Ok(()),
                Progress::Empty { consumed } => {
                    assert!(self.args.is_empty(), "nothing was asked for");
                    self.buffer.drain(..consumed);
                }
                Progress::NeedBulk { index, len, offset } => {
                    assert_eq!(index as usize, self.externals.len());
                    self.externals.push(Vec::new());
                    self.awaited = Some((index, len, offset));
                }
                Progress::Command { consumed } => {
                    let command = self.args.iter().map(|&arg| self.bytes_of(parser, arg)).collect();
                    self.commands.push(command);
                    self.buffer.drain(..consumed);
                    self.args.clear();
                    self.externals.clear();
                    parser.clear_scratch();
                    assert!(!parser.is_mid_command());
                }
            }
        }
    }

    fn bytes_of(&self, parser: &RequestParser, arg: Arg) -> Vec<u8> {
        let range =
            |bytes: &[u8], start: u32, len: u32| bytes[start as usize..][..len as usize].to_vec();
        match arg {
            Arg::Inline { start, len } => range(&self.buffer, start, len),
            Arg::Scratch { start, len } => range(parser.scratch(), start, len),
            Arg::External(index) => self.externals[index as usize].clone(),
        }
    }
}

type Outcome = (Vec<Command>, Option<ProtocolError>);

/// What arrives, which is the same whether plain requests are tried first or not.
fn receive_parts<'a>(
    parts: impl IntoIterator<Item = &'a [u8], IntoIter: Clone>,
    limits: &Limits,
) -> Outcome {
    let parts = parts.into_iter();
    let outcome = receive(parts.clone(), limits, false);
    assert_eq!(receive(parts, limits, true), outcome);
    outcome
}

fn receive<'a>(parts: impl IntoIterator<Item = &'a [u8]>, limits: &Limits, plain: bool) -> Outcome {
    let mut connection = Connection { plain, ..Connection::default() };
    for part in parts {
        if let Err(error) = connection.receive(part, limits) {
            return (connection.commands, Some(error));
        }
    }
    (connection.commands, None)
}

/// The same grammar over a whole stream, written for plainness.
fn model(mut stream: &[u8], limits: &Limits) -> Outcome {
    let mut commands = Vec::new();
    loop {
        match model_command(stream, limits) {
            Ok(Some((command, rest))) => {
                if !command.is_empty() {
                    commands.push(command);
                }
                stream = rest;
            }
            Ok(None) => return (commands, None),
            Err(error) => return (commands, Some(error)),
        }
    }
}

/// A line up to `end`, and what follows it and `extra` more bytes.
fn model_line(
    stream: &[u8],
    end: u8,
    extra: usize,
    too_long: ProtocolError,
) -> ModelResult<'_, &[u8]> {
    match stream.iter().position(|&byte| byte == end) {
        Some(at) if at <= 65536 => {
            Ok(stream.get(at + 1 + extra..).map(|rest| (&stream[..at], rest)))
        }
        Some(_) => Err(too_long),
        None if stream.len() > 65536 => Err(too_long),
        None => Ok(None),
    }
}

type ModelResult<'a, T> = Result<Option<(T, &'a [u8])>, ProtocolError>;

fn model_number(text: &[u8]) -> Option<i64> {
    let value: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (value.to_string().as_bytes() == text).then_some(value)
}

fn model_command<'a>(stream: &'a [u8], limits: &Limits) -> ModelResult<'a, Command> {
    if stream.is_empty() {
        return Ok(None);
    }
    if stream[0] != b'*' {
        let Some((line, rest)) = model_line(stream, b'\n', 0, ProtocolError::TooBigInline)? else {
            return Ok(None);
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (mut args, mut scratch) = (Vec::new(), Vec::new());
        inline::split(line, &mut args, &mut scratch)?;
        let bytes_of = |arg| match arg {
            Arg::Inline { start, len } => line[start as usize..][..len as usize].to_vec(),
            Arg::Scratch { start, len } => scratch[start as usize..][..len as usize].to_vec(),
            Arg::External(_) => unreachable!("an inline command has no external arguments"),
        };
        return Ok(Some((args.into_iter().map(bytes_of).collect(), rest)));
    }
    let Some((line, mut rest)) = model_line(stream, b'\r', 1, ProtocolError::TooBigMultibulkCount)?
    else {
        return Ok(None);
    };
    let count = model_number(&line[1..]).filter(|&count| count < 1 << 31);
    let count = count.ok_or(ProtocolError::InvalidMultibulkLength)?;
    if count > 10 && !limits.authenticated {
        return Err(ProtocolError::UnauthenticatedMultibulkLength);
    }
    let mut command = Vec::new();
    for _ in 0..count {
        let Some((line, payload)) = model_line(rest, b'\r', 1, ProtocolError::TooBigBulkCount)?
        else {
            return Ok(None);
        };
        match rest[0] {
            b'$' => {}
            got => return Err(ProtocolError::ExpectedBulk(got)),
        }
        let len = model_number(line.get(1..).unwrap_or_default())
            .and_then(|len| usize::try_from(len).ok());
        let len = len
            .filter(|&len| len <= limits.max_bulk_len)
            .ok_or(ProtocolError::InvalidBulkLength)?;
        if len > 16384 && !limits.authenticated {
            return Err(ProtocolError::UnauthenticatedBulkLength);
        }
        if payload.len() < len + 2 {
            return Ok(None);
        }
        command.push(payload[..len].to_vec());
        rest = &payload[len + 2..];
    }
    Ok(Some((command, rest)))
}

/// Limits under which small inputs reach every path.
fn tight_limits() -> Limits {
    Limits { max_bulk_len: 1000, external_bulk_min: 5, inline_span_max: 60, authenticated: true }
}

fn all_limits() -> [Limits; 4] {
    let tight = tight_limits();
    [
        Limits::default(),
        tight,
        Limits { inline_span_max: 0, ..tight },
        Limits { external_bulk_min: 0, inline_span_max: u32::MAX, authenticated: false, ..tight },
    ]
}

const STREAMS: [&[u8]; 8] = [
    b"*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000042\r\n*1\r\n$4\r\nPING\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$12\r\nhello\r\nworld\r\n*3\r\n$3\r\nSET\r\n$7\r\n1234567\r\n$8\r\n12345678\r\n",
    b"*0\r\n*-1\r\n\r\n\n  \r\nPING \"a \\x41\" 'b' c\r\nGET k\n*1\r\n$0\r\n\r\n",
    b"*2\r\n$3\r\nGET\r\n:3\r\n",
    b"*2\r\n$3\r\nGET\r\n$-1\r\n",
    b"PING\r\nPING \"a\r\n",
    b"*12\r\n$100\r\n",
    b"*1\rx$4\ryPINGzz*1x\r\n",
];

#[test]
fn every_split_in_two_gives_the_same_commands() {
    for limits in all_limits() {
        for stream in STREAMS {
            let expected = model(stream, &limits);
            for split in 0..=stream.len() {
                let parts = [&stream[..split], &stream[split..]];
                let found = receive_parts(parts, &limits);
                assert_eq!(
                    found,
                    expected,
                    "{} split at {split}, {limits:?}",
                    stream.escape_ascii()
                );
            }
        }
    }
}

#[test]
fn every_split_in_three_gives_the_same_commands() {
    for limits in all_limits() {
        for stream in STREAMS {
            let expected = model(stream, &limits);
            for (i, j) in (0..=stream.len()).flat_map(|i| (i..=stream.len()).map(move |j| (i, j))) {
                let parts = [&stream[..i], &stream[i..j], &stream[j..]];
                let found = receive_parts(parts, &limits);
                assert_eq!(
                    found,
                    expected,
                    "{} split at {i} and {j}, {limits:?}",
                    stream.escape_ascii()
                );
            }
            assert_eq!(receive_parts(stream.chunks(1), &limits), expected, "byte by byte");
        }
    }
}

fn error_text(stream: &[u8], limits: &Limits) -> String {
    let (_, error) = receive_parts([stream], limits);
    let text = error.map(ProtocolError::reply_text).unwrap_or_default();
    String::from_utf8(text).expect("these errors are text")
}

#[test]
fn errors_have_the_texts_of_redis() {
    let full = Limits::default();
    let guest = Limits { authenticated: false, ..full };
    let cases: [(&[u8], &Limits, &str); 20] = [
        (b"*2147483648\r\n", &full, "invalid multibulk length"),
        (b"*99999999999999999999\r\n", &full, "invalid multibulk length"),
        (b"*\r\n", &full, "invalid multibulk length"),
        (b"*-0\r\n", &full, "invalid multibulk length"),
        (b"*01\r\n", &full, "invalid multibulk length"),
        (b"*1x\r\n", &full, "invalid multibulk length"),
        (b"*1\n$4\r\nPING\r\n", &full, "invalid multibulk length"),
        (b"*11\r\n", &guest, "unauthenticated multibulk length"),
        (b"*1\r\n$\r\n", &full, "invalid bulk length"),
        (b"*1\r\n$-1\r\n", &full, "invalid bulk length"),
        (b"*1\r\n$1x\r\n", &full, "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", &full, "invalid bulk length"),
        (b"*1\r\n$9999999999\r\n", &guest, "invalid bulk length"),
        (b"*1\r\n$16385\r\n", &guest, "unauthenticated bulk length"),
        (b"*1\r\n:4\r\n", &full, "expected '$', got ':'"),
        (b"*1\r\n44\r\n", &full, "expected '$', got '4'"),
        (b"*1\r\n\r\n", &full, "expected '$', got ' '"),
        (b"*1\r\n\n\r\n", &full, "expected '$', got ' '"),
        (b"PING \"a\r\n", &full, "unbalanced quotes in request"),
        (b"PING 'a'b\r\n", &full, "unbalanced quotes in request"),
    ];
    for (stream, limits, expected) in cases {
        let expected = format!("ERR Protocol error: {expected}");
        assert_eq!(error_text(stream, limits), expected, "{}", stream.escape_ascii());
    }
}

#[test]
fn limits_are_inclusive() {
    let guest = Limits { authenticated: false, ..Limits::default() };
    for stream in
        [&b"*10\r\n$1\r\na\r\n"[..], b"*1\r\n$16384\r\n", b"*2147483647\r\n", b"*1\r\n$16385"]
    {
        let limits = if stream.len() > 12 { Limits::default() } else { guest };
        assert_eq!(receive_parts([stream], &limits).1, None, "{}", stream.escape_ascii());
    }
}

#[test]
fn lines_end_within_64_kib() {
    let cases: [(&[u8], u8, &str); 3] = [
        (b"*", b'1', "too big mbulk count string"),
        (b"*1\r\n$", b'1', "too big bulk count string"),
        (b"P", b'I', "too big inline request"),
    ];
    for (start, filler, expected) in cases {
        let line_start = start.len() - 1;
        let mut stream = start.to_vec();
        stream.resize(line_start + LINE_LEN_MAX, filler);
        let complaint = format!("ERR Protocol error: {expected}");
        assert_eq!(error_text(&stream, &Limits::default()), "", "{expected}: waits at the limit");
        stream.push(filler);
        assert_eq!(error_text(&stream, &Limits::default()), complaint);
        stream.extend_from_slice(b"\r\n");
        assert_eq!(error_text(&stream, &Limits::default()), complaint, "even if an end follows");
        let parts = receive_parts(stream.chunks(1000), &Limits::default());
        assert_eq!(parts.1.map(|e| e.reply_text()), Some(complaint.into_bytes()), "in small parts");
    }
}

#[test]
fn resuming_does_not_look_back() {
    // If a call looked at the arguments again, this would take 10^11 steps and never end.
    let mut stream = b"*200000\r\n".to_vec();
    for _ in 0..200_000 {
        stream.extend_from_slice(b"$3\r\nabc\r\n");
    }
    let (mut parser, mut args) = (RequestParser::new(), Vec::new());
    let limits = Limits::default();
    for end in 1..stream.len() {
        assert_eq!(parser.parse(&stream[..end], &limits, &mut args), Ok(Progress::Incomplete));
    }
    let consumed = stream.len();
    assert_eq!(parser.parse(&stream, &limits, &mut args), Ok(Progress::Command { consumed }));
    assert_eq!(args.len(), 200_000);
}

#[test]
fn arguments_reserve_no_more_than_was_sent_justifies() {
    let (mut parser, mut args) = (RequestParser::new(), Vec::new());
    let progress = parser.parse(b"*2147483647\r\n", &Limits::default(), &mut args);
    assert_eq!(progress, Ok(Progress::Incomplete));
    assert!(args.capacity() <= 2 * ARGS_RESERVED_MAX, "reserved {}", args.capacity());
}

#[test]
fn a_payload_that_has_arrived_stays_inline_whatever_its_length() {
    let (mut parser, mut args) = (RequestParser::new(), Vec::new());
    let stream = b"*1\r\n$9\r\n123456789\r\n";
    let progress = parser.parse(stream, &tight_limits(), &mut args);
    assert_eq!(progress, Ok(Progress::Command { consumed: stream.len() }));
    assert_eq!(args, [Arg::Inline { start: 8, len: 9 }]);
}

#[test]
fn a_buffer_that_shrank_does_no_harm() {
    let (mut parser, mut args) = (RequestParser::new(), Vec::new());
    let limits = tight_limits();
    for stream in STREAMS {
        for end in (0..stream.len()).rev() {
            for shorter in [end, end / 2, 0] {
                if parser.parse(&stream[..shorter], &limits, &mut args).is_err() {
                    parser.reset();
                }
            }
            parser.external_done(0);
        }
    }
}

fn stream_strategy() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => (0..STREAMS.len()).prop_map(|i| STREAMS[i].to_vec()),
        4 => proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..30), 1..13).prop_map(|args| {
            let mut out = Vec::new();
            crate::client::encode_command(&mut out, &args);
            out
        }),
        1 => "[*$\"' a-c0-9\r\n\\\\x]{0,12}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn agrees_with_the_model(
        stream in stream_strategy(),
        cuts in proptest::collection::vec(1..40_usize, 1..20),
        which in 0..4_usize,
    ) {
        let limits = all_limits()[which];
        let mut parts = Vec::new();
        let mut rest = &stream[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (part, after) = rest.split_at((*cut).min(rest.len()));
            parts.push(part);
            rest = after;
        }
        prop_assert_eq!(receive_parts(parts, &limits), model(&stream, &limits));
    }
}
