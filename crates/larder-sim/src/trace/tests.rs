//! Each format with good, bad, cut, empty and hostile input; and that no input is a panic.

use std::io::{self, Read, Write};

use proptest::prelude::*;

use super::*;
use crate::Op;
use crate::request::{named, numbered};

/// What reading came to: the requests, the number of faults, and the first of them.
type Outcome = (Vec<Request>, u64, Vec<String>);

fn open(format: Format, input: &[u8]) -> Result<Trace<'_>, TraceError> {
    Trace::open(input, &TraceOptions { format: Some(format), ..TraceOptions::default() })
}

fn read(format: Format, input: &[u8]) -> Outcome {
    drain(open(format, input).unwrap())
}

fn drain(mut trace: Trace<'_>) -> Outcome {
    let requests: Vec<_> = trace.by_ref().map(Result::unwrap).collect();
    let first = trace.faults().first().iter().map(ToString::to_string).collect();
    (requests, trace.faults().count(), first)
}

fn guessed(name: &str, input: &[u8]) -> Result<Format, TraceError> {
    let options = TraceOptions { name, ..TraceOptions::default() };
    Trace::open(input, &options).map(|trace| trace.format())
}

/// Reads of keys with these numbers.
fn reads(numbers: &[u64]) -> Vec<Request> {
    numbers.iter().map(|&number| Request::read(numbered(number))).collect()
}

fn at(time_ms: u64, request: Request) -> Request {
    Request { time_ms: Some(time_ms), ..request }
}

fn oracle_record(time: u32, object: u64, size: u32, next: i64) -> Vec<u8> {
    let mut record = time.to_le_bytes().to_vec();
    record.extend(object.to_le_bytes());
    record.extend(size.to_le_bytes());
    record.extend(next.to_le_bytes());
    record
}

/// As the format's description says, from numbers.
fn zzd(numbers: &[u64]) -> Vec<u8> {
    let (mut bytes, mut before) = (Vec::new(), 0_i64);
    for &number in numbers {
        let difference = number as i64 - before;
        let mut zigzag = ((difference << 1) ^ (difference >> 63)) as u64;
        before = number as i64;
        while zigzag >= 0x80 {
            bytes.push(zigzag as u8 | 0x80);
            zigzag >>= 7;
        }
        bytes.push(zigzag as u8);
    }
    bytes
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(plain).unwrap();
    writer.finish().unwrap()
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(plain, ruzstd::encoding::CompressionLevel::Fastest)
}

#[test]
fn an_empty_trace_of_every_format_has_no_requests() {
    for format in Format::ALL.into_iter().filter(|&format| format != Format::KeyLog) {
        assert_eq!(read(format, b""), (vec![], 0, vec![]), "{format}");
    }
    assert!(matches!(open(Format::KeyLog, b""), Err(TraceError::Malformed(Format::KeyLog, _))));
}

#[test]
fn a_name_of_a_format_reads_back() {
    for format in Format::ALL {
        assert_eq!(format.name().parse(), Ok(format));
    }
    assert!("elf".parse::<Format>().unwrap_err().to_string().contains("oracle-general"));
}

#[test]
fn keys_are_lines_of_any_bytes() {
    let (requests, faults, first) = read(Format::Keys, b"a b\n\xff\n\na b\r\nlast");
    let keys: Vec<_> = requests.iter().map(|request| request.key).collect();
    assert_eq!(keys, [named(b"a b"), named(b"\xff"), named(b"a b"), named(b"last")]);
    assert_eq!((faults, first), (1, vec!["line 3: an empty line is no key".to_owned()]));
}

#[test]
fn a_line_beyond_the_bound_is_left_out_and_the_next_is_read() {
    let fits = vec![b'x'; LINE_BYTES_MAX];
    let input = [&fits[..], b"\n", &fits, b"x\nnext\n"].concat();
    let (requests, faults, first) = read(Format::Keys, &input);
    assert_eq!(requests, [Request::read(named(&fits)), Request::read(named(b"next"))]);
    assert_eq!((faults, first), (1, vec!["line 2: the line is longer than 1 MiB".to_owned()]));
}

#[test]
fn a_line_without_an_end_takes_no_memory() {
    // A quarter of a gigabyte, made as it is read.
    let input = io::repeat(b'x').take(1 << 28);
    let options = TraceOptions { format: Some(Format::Csv), ..TraceOptions::default() };
    let (requests, faults, _) = drain(Trace::open(input, &options).unwrap());
    assert_eq!((requests.len(), faults), (0, 1));
}

#[test]
fn only_the_first_faults_are_kept_and_only_their_beginnings() {
    let line = format!("{}\n", "z".repeat(1000));
    let (_, faults, first) = read(Format::Lirs, line.repeat(9).as_bytes());
    assert_eq!((faults, first.len()), (9, FAULTS_SHOWN));
    let shown = format!("line 1: it isn't one block number: {}…", "z".repeat(80));
    assert_eq!(first[0], shown);
}

#[test]
fn csv_goes_by_the_names_in_its_first_line() {
    let input = b"timestamp,obj_size,shard,key,ttl\n1.5,300,7,\"a,\"\"b\"\"\",60\n2,,7,c,0\n";
    let (requests, faults, first) = read(Format::Csv, input);
    assert_eq!((faults, first), (0, vec![]));
    let first =
        Request { size: Some(300), ttl_ms: Some(60_000), ..Request::read(named(b"a,\"b\"")) };
    assert_eq!(requests, [at(1500, first), at(2000, Request::read(named(b"c")))]);
}

#[test]
fn csv_without_names_is_key_size_time_ttl_op() {
    for input in ["k,10,3,1,set\nk", "k;10;3;1;set\nk", "k\t10\t3\t1\tset\nk"] {
        let (requests, faults, _) = read(Format::Csv, input.as_bytes());
        let set = Request {
            op: Op::Write,
            size: Some(10),
            ttl_ms: Some(1000),
            ..at(3000, Request::read(named(b"k")))
        };
        assert_eq!((requests, faults), (vec![set, Request::read(named(b"k"))], 0), "{input}");
    }
}

#[test]
fn csv_goes_by_given_columns_before_those_of_its_first_line() {
    let columns: Columns = "time,key,-,size,-,op".parse().unwrap();
    let options = TraceOptions {
        format: Some(Format::Csv),
        columns: Some(&columns),
        ..TraceOptions::default()
    };
    let input = b"0,ab,4,100,9,get\n1,ab,4,100,9,delete\n2,ab,4,100,9,touch\n";
    let (requests, faults, _) = drain(Trace::open(&input[..], &options).unwrap());
    let get = Request { size: Some(100), ..at(0, Request::read(named(b"ab"))) };
    let delete = Request { op: Op::Remove, ..at(1000, get) };
    assert_eq!((requests, faults), (vec![get, delete], 0));
    for bad in ["size,time", "key,key", "key,size,colour", ""] {
        assert_eq!(bad.parse::<Columns>(), Err(BadColumns), "{bad}");
    }
}

#[test]
fn csv_says_what_is_wrong_with_a_line() {
    let lines = [
        ("a,b", "the size is no number of bytes"),
        ("a,-1", "the size is no number of bytes"),
        ("a,1,noon", "the time is no number of seconds"),
        ("a,1,1,1.x", "the ttl is no number of seconds"),
        (",5", "the key is empty"),
        ("\"a,5", "a quoted field doesn't end in its line"),
        ("\"a\"b,5", "something follows a quoted field"),
    ];
    for (line, wrong) in lines {
        let (requests, faults, first) = read(Format::Csv, format!("k,1\n{line}\nk,1").as_bytes());
        assert_eq!((requests.len(), faults), (2, 1), "{line}");
        assert!(first[0].starts_with(&format!("line 2: {wrong}")), "{first:?}");
    }
    // What is beyond 32 bits is as large as can be said.
    let (requests, ..) = read(Format::Csv, b"k,99999999999");
    assert_eq!(requests[0].size, Some(u32::MAX));
}

#[test]
fn arc_lines_ask_for_blocks_one_after_the_other() {
    let (requests, faults, first) =
        read(Format::Arc, b"7 3 0 0\n5 1\n\n1 0 0 3\n1 70000\nx 1 0 4\n9");
    assert_eq!(requests, reads(&[7, 8, 9, 5]));
    assert_eq!((faults, first.len()), (4, 4));
    assert_eq!(first[0], "line 4: the number of blocks isn't 1 to 65,536: 1 0 0 3");
    let (requests, faults, _) = read(Format::Arc, format!("{} 2 0 0", u64::MAX).as_bytes());
    assert_eq!((requests.len(), faults), (0, 1));
}

#[test]
fn lirs_lines_are_blocks_and_stars_between_phases() {
    let (requests, faults, first) = read(Format::Lirs, b"1\n*\n  2 \n\n1 2\n*x\n3");
    assert_eq!((requests, faults), (reads(&[1, 2, 3]), 2));
    assert_eq!(first[0], "line 5: it isn't one block number: 1 2");
}

#[test]
fn oracle_general_records_have_24_bytes() {
    let mut input = oracle_record(100, 7, 4096, 2);
    input.extend(oracle_record(101, u64::MAX, 0, -1));
    let first = Request { size: Some(4096), ..at(100_000, Request::read(numbered(7))) };
    let second = Request { size: Some(0), ..at(101_000, Request::read(numbered(u64::MAX))) };
    let outcome = (vec![first, second], 0, vec![]);
    assert_eq!(read(Format::OracleGeneral, &input), outcome);
    // The end is missing.
    let (requests, faults, wrong) = read(Format::OracleGeneral, &input[..47]);
    assert_eq!((requests, faults), (vec![first], 1));
    assert_eq!(wrong, ["byte 24: the trace ends within a record of 24 bytes"]);
}

#[test]
fn zzd_is_the_varint_of_the_zigzag_of_the_difference() {
    // 0, then +1, -1, +300.
    assert_eq!(read(Format::Zzd, &[0, 2, 1, 0xd8, 4]), (reads(&[0, 1, 0, 300]), 0, vec![]));
    let (requests, faults, first) = read(Format::Zzd, &[2, 0x80]);
    assert_eq!((requests, faults), (reads(&[1]), 1));
    assert_eq!(first, ["byte 1: the trace ends within a number"]);
}

#[test]
fn a_zzd_number_that_is_too_long_is_left_out_and_the_next_is_read() {
    let mut input = vec![0xff; 100_000];
    // Each is relative to the last that was good.
    input.extend([1, 4, 1, 4]);
    let (requests, faults, first) = read(Format::Zzd, &input);
    assert_eq!(first[0], "byte 0: the number has more than 64 bits");
    assert_eq!((requests, faults), (reads(&[2, 1, 3]), 1));
    // Below zero, and beyond what is counted to.
    let (requests, faults, _) = read(Format::Zzd, &[1, 2]);
    assert_eq!((requests, faults), (reads(&[1]), 1));
    let most = zzd(&[i64::MAX as u64]);
    let (requests, faults, _) = read(Format::Zzd, &[&most[..], &[2, 0]].concat());
    assert_eq!((requests, faults), (reads(&[i64::MAX as u64, i64::MAX as u64]), 1));
    // A varint may be padded.
    assert_eq!(read(Format::Zzd, &[0x82, 0x80, 0x80, 0]), (reads(&[1]), 0, vec![]));
}

#[test]
fn monitor_lines_are_reads_writes_and_removals() {
    let input = br#"OK
1339518083.107412 [0 127.0.0.1:60866] "get" "user:42"
1339518084.5 [1 unix:/tmp/redis.sock] "MGET" "a" "\"\x41\\"
1339518085.0 [0 lua] "SET" "k" "v" "EX" "10"
1339518085.0 [0 [::1]:6379] "PSETEX" "k" "250" "v"
1339518085.0 [0 127.0.0.1:1] "MSET" "a" "1" "b" "2"
1339518085.0 [0 127.0.0.1:1] "PING"
1339518085.0 [0 127.0.0.1:1] "DEL" "" "k"
1339518085.0 [0 127.0.0.1:1] "GET" "cut
nonsense
"#;
    let (requests, faults, first) = read(Format::Monitor, input);
    let of = |op, key: &[u8], ms| Request { op, ..at(ms, Request::read(named(key))) };
    let (noon, later) = (1_339_518_083_107, 1_339_518_085_000);
    let written = of(Op::Write, b"0:k", later);
    let expected = [
        of(Op::Read, b"0:user:42", noon),
        of(Op::Read, b"1:a", 1_339_518_084_500),
        of(Op::Read, b"1:\"A\\", 1_339_518_084_500),
        Request { ttl_ms: Some(10_000), ..written },
        Request { ttl_ms: Some(250), ..written },
        of(Op::Write, b"0:a", later),
        of(Op::Write, b"0:b", later),
        of(Op::Remove, b"0:", later),
        of(Op::Remove, b"0:k", later),
    ];
    assert_eq!(requests, expected);
    assert_eq!(faults, 2, "{first:?}");
    assert_eq!(first[1], "line 10: it isn't a line of MONITOR: nonsense");
}

#[test]
fn a_key_log_tells_its_sample_and_all_reads() {
    let input = "larder-keys 1 sample=0.25\n\
                 1764000000123 r 9f86d081884c7d65 512 60000\n\
                 +30\n\
                 1764000000124 w 9f86d081884c7d65 600\n\
                 larder-keys 1 sample=0.25\n\
                 1764000000125 x 9f86d081884c7d65\n\
                 +12\n\
                 1764000000125 q 9f86d081884c7d65\n\
                 1764000000125 r 9f86\n\
                 1764000000125 r +f86d081884c7d65\n";
    let mut trace = open(Format::KeyLog, input.as_bytes()).unwrap();
    let requests: Vec<_> = trace.by_ref().map(Result::unwrap).collect();
    let key = numbered(0x9f86_d081_884c_7d65);
    let first = Request { size: Some(512), ttl_ms: Some(60_000), ..Request::read(key) };
    let expected = [
        at(1_764_000_000_123, first),
        at(1_764_000_000_124, Request { op: Op::Write, size: Some(600), ..Request::read(key) }),
        at(1_764_000_000_125, Request { op: Op::Remove, ..Request::read(key) }),
    ];
    assert_eq!(requests, expected);
    assert_eq!((trace.sample(), trace.reads(), trace.faults().count()), (0.25, Some(42), 3));
}

#[test]
fn a_key_log_with_another_heading_is_refused() {
    let headings = [
        "larder-keys 2 sample=0.5",
        "larder-keys 1",
        "larder-keys 1 sample=0",
        "larder-keys 1 sample=1.5",
        "larder-keys 1 sample=NaN",
        "larder-keys 1 sample=0.5 more",
    ];
    for heading in headings {
        let error = open(Format::KeyLog, heading.as_bytes()).map(|_| ()).unwrap_err();
        assert!(matches!(error, TraceError::Malformed(Format::KeyLog, _)), "{heading}: {error}");
    }
    let changed = b"larder-keys 1 sample=0.5\nlarder-keys 1 sample=0.25\n";
    let result: Result<Vec<_>, _> = open(Format::KeyLog, changed).unwrap().collect();
    assert!(result.unwrap_err().to_string().contains("the sample changes"));
}

#[test]
fn the_format_is_told_from_the_content() {
    let oracle = [oracle_record(1, 2, 3, 1), oracle_record(1, 2, 3, -1)].concat();
    let contents: [(&[u8], Format); 9] = [
        (b"user:1\nuser:2\n", Format::Keys),
        (b"17\n18\n", Format::Keys),
        (b"17\n*\n18\n", Format::Lirs),
        (b"17 1 0 0\n18 2 0 1\n", Format::Arc),
        (b"key,size\na,1\n", Format::Csv),
        (b"a\t1\n", Format::Csv),
        (b"OK\n1.5 [0 127.0.0.1:1] \"GET\" \"a\"\n", Format::Monitor),
        (b"larder-keys 1 sample=1\n", Format::KeyLog),
        (&oracle, Format::OracleGeneral),
    ];
    for (content, format) in contents {
        assert_eq!(guessed("trace", content).unwrap(), format, "{}", content.escape_ascii());
        assert_eq!(guessed("", &gzip(content)).unwrap(), format);
        assert_eq!(guessed("", &zstd(content)).unwrap(), format);
    }
    for unknown in [&b""[..], b"\n\n", &[0, 2, 1, 5, 4]] {
        assert!(matches!(guessed("trace", unknown), Err(TraceError::Unknown)), "{unknown:?}");
    }
}

#[test]
fn the_format_is_told_from_the_name() {
    let names = [
        ("a.zzd", Format::Zzd),
        ("a.zzd.zst", Format::Zzd),
        ("P3.lis.gz", Format::Arc),
        ("w.oracleGeneral.bin.zst", Format::OracleGeneral),
        ("a.b.CSV", Format::Csv),
        ("loop.trc", Format::Lirs),
    ];
    for (name, format) in names {
        assert_eq!(guessed(name, b"1\n2\n").unwrap(), format, "{name}");
    }
}

#[test]
fn compression_is_found_by_content_and_may_come_in_pieces() {
    let half = b"a\nb\n";
    // What tools call multi-member files, and frames to be skipped.
    let skipped = [&[0x51, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let inputs = [
        (Compression::Gzip, [gzip(half), gzip(half)].concat()),
        (Compression::Zstd, [zstd(half), skipped.clone(), zstd(half)].concat()),
        (Compression::Zstd, [skipped, zstd(half), zstd(half)].concat()),
        (Compression::None, [&half[..], half].concat()),
    ];
    for (compression, input) in inputs {
        let trace = open(Format::Keys, &input).unwrap();
        assert_eq!(trace.compression(), compression);
        let keys: Vec<_> = drain(trace).0.iter().map(|request| request.key).collect();
        assert_eq!(keys, [named(b"a"), named(b"b"), named(b"a"), named(b"b")], "{compression}");
    }
}

#[test]
fn compressed_input_that_is_cut_or_changed_is_an_error() {
    let plain = "some key\nanother one\n".repeat(1000);
    for input in [gzip(plain.as_bytes()), zstd(plain.as_bytes())] {
        let cut = open(Format::Keys, &input[..input.len() - 5]);
        let result = cut.and_then(Iterator::collect::<Result<Vec<_>, _>>);
        assert!(matches!(result, Err(TraceError::Io(_))));
        // The checksum is at the end of both.
        let mut changed = input;
        let last = changed.len() - 5;
        changed[last] ^= 1;
        let result = open(Format::Keys, &changed);
        let result = result.and_then(Iterator::collect::<Result<Vec<_>, _>>);
        assert!(matches!(result, Err(TraceError::Io(_))));
    }
}

#[test]
fn a_failing_input_is_an_error() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let input = (&b"1 1 0 0\n"[..]).chain(Failing);
    let error = Trace::open(input, &TraceOptions::default()).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "can't be read: the disk is gone");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_are_a_panic(input in proptest::collection::vec(any::<u8>(), 0..300)) {
        for format in Format::ALL {
            if let Ok(trace) = open(format, &input) {
                let _ = trace.count();
            }
        }
        let _ = Trace::open(&input[..], &TraceOptions::default()).map(Iterator::count);
        for magic in [&[0x1f, 0x8b, 8, 0][..], &[0x28, 0xb5, 0x2f, 0xfd], &[0x50, 0x2a, 0x4d, 0x18]] {
            let input = [magic, &input].concat();
            let _ = open(Format::Keys, &input).map(Iterator::count);
        }
    }

    #[test]
    fn no_text_is_a_panic(input in "(larder-keys 1 sample=1\n)?([0-9]{1,3}|[ ,\"\\\\x.+*\n\\[\\]rwxk]|GET|\\.[0-9]){0,80}") {
        for format in Format::ALL {
            if let Ok(trace) = open(format, input.as_bytes()) {
                let _ = trace.count();
            }
        }
        let _ = Trace::open(input.as_bytes(), &TraceOptions::default()).map(Iterator::count);
    }

    #[test]
    fn zzd_reads_back(numbers in proptest::collection::vec(0..=i64::MAX as u64, 0..50)) {
        prop_assert_eq!(read(Format::Zzd, &zzd(&numbers)), (reads(&numbers), 0, vec![]));
    }

    #[test]
    fn compressed_traces_read_as_plain_ones(input in proptest::collection::vec(any::<u8>(), 0..2000)) {
        // A plain trace may itself look compressed.
        let plain = [b"k", &input[..]].concat();
        let expected = read(Format::Keys, &plain);
        prop_assert_eq!(&read(Format::Keys, &gzip(&plain)), &expected);
        prop_assert_eq!(&read(Format::Keys, &zstd(&plain)), &expected);
    }
}
