//! What comes by the connection, cut into pieces anywhere.

use bolero::{TypeGenerator, check};
use bytes::Bytes;
use larder_feed::pgoutput::{Frame, Frames, Lsn, Malformed, Whole};
use pgwire_replication::protocol::{ReplicationCopyData as Theirs, parse_copy_data};

/// A message that is built from these parts, so that more than the first byte is tried.
#[derive(Clone, Debug, TypeGenerator)]
enum Made {
    Log(u64, u64, u64, Vec<u8>),
    Alive(u64, u64, bool),
    Data(Vec<u8>),
    Failed(Vec<u8>),
    Over,
    Other(u8, Vec<u8>),
    /// Not even a message.
    Any(Vec<u8>),
}

fn message(kind: u8, says: &[u8]) -> Vec<u8> {
    let length = u32::try_from(says.len() + 4).unwrap().to_be_bytes();
    [&[kind], &length[..], says].concat()
}

impl Made {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Log(begin, end, time, says) => {
                let before = [begin, end, time].map(|number| number.to_be_bytes()).concat();
                message(b'd', &[b"w", &before[..], says].concat())
            }
            Self::Alive(end, time, asks) => {
                let before = [end, time].map(|number| number.to_be_bytes()).concat();
                message(b'd', &[b"k", &before[..], &[u8::from(*asks)]].concat())
            }
            Self::Data(data) => message(b'd', data),
            Self::Failed(says) => message(b'E', says),
            Self::Over => message(b'c', b""),
            Self::Other(kind, says) => message(*kind, says),
            Self::Any(any) => any.clone(),
        }
    }
}

/// What is read where it comes in pieces of these sizes.
fn in_pieces(all: &[u8], sizes: &[u8]) -> Result<Vec<Frame>, Malformed> {
    let (mut rest, mut received, mut frames) = (all, Vec::new(), Vec::new());
    let mut sizes = sizes.iter().map(|&size| usize::from(size).max(1)).chain([all.len()]);
    while !rest.is_empty() {
        let size = sizes.next().unwrap_or(all.len()).min(rest.len());
        received.extend_from_slice(&rest[..size]);
        rest = &rest[size..];
        let whole = Whole::of(&received)?;
        let later = received.split_off(whole.bytes);
        let now = Frames::of(received.into()).collect::<Result<Vec<_>, _>>()?;
        let asks = now.iter().any(|frame| matches!(frame, Frame::Alive { asks: true, .. }));
        assert_eq!(whole.asks, asks);
        frames.extend(now);
        received = later;
    }
    Ok(frames)
}

#[test]
fn messages_are_the_same_wherever_they_are_cut() {
    check!().with_type::<(Vec<Made>, Vec<u8>)>().for_each(|(made, sizes)| {
        let all = made.iter().flat_map(Made::bytes).collect::<Vec<u8>>();
        let at_once = Frames::of(all.clone().into()).collect::<Result<Vec<_>, _>>();
        match (in_pieces(&all, sizes), at_once) {
            (Ok(pieces), Ok(at_once)) => assert_eq!(pieces, at_once),
            (Err(_), Err(_)) => {}
            (pieces, at_once) => panic!("{pieces:?} and {at_once:?}"),
        }
    });
}

#[test]
fn two_readers_of_copied_data_say_the_same() {
    check!().with_type::<Made>().for_each(|made| {
        let bytes = Bytes::from(made.bytes());
        let Some(Ok(ours)) = Frames::of(bytes.clone()).next() else { return };
        let length = u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize;
        let theirs = || parse_copy_data(bytes.slice(5..length + 1)).unwrap();
        match ours {
            Frame::Log { message, sent } => {
                let Theirs::XLogData { data, server_time_micros, .. } = theirs() else {
                    panic!("{made:?}")
                };
                assert_eq!((message, sent), (data, server_time_micros));
            }
            Frame::Alive { end, asks } => {
                let Theirs::KeepAlive { wal_end, reply_requested, .. } = theirs() else {
                    panic!("{made:?}")
                };
                assert_eq!((end, asks), (Lsn(wal_end.0), reply_requested));
            }
            Frame::Failed(_) | Frame::Over | Frame::Other => {}
        }
    });
}

#[test]
fn what_has_no_length_is_no_message() {
    for length in [0_u32, 3, (1 << 30) + 1, u32::MAX] {
        let bytes = [b"d", &length.to_be_bytes()[..]].concat();
        Whole::of(&bytes).unwrap_err();
        let mut frames = Frames::of(bytes.into());
        frames.next().unwrap().unwrap_err();
        assert!(frames.next().is_none());
    }
}
