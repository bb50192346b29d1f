//! Arbitrary and nearly valid bytes: nothing panics, what is whole is found, and what is opened can
//! be opened again.

use bolero::check;
use bolero::generator::{ValueGenerator, produce};
use larder_core::{ErrorKind, Journal};

use super::bench::settings;
use super::simulated::Machine;
use crate::FileJournal;
use crate::format::{FRAME_BYTES, Frame, HEADER_BYTES, Header, Seed, checksum, segment_name};
use crate::mark::Slot;
use crate::options::Settings;
use crate::scan::{frames, scan};

const IDENTITY: [u8; 16] = [9; 16];

fn bytes(length_max: usize) -> impl ValueGenerator<Output = Vec<u8>> {
    produce::<Vec<u8>>().with().len(0..=length_max)
}

/// A segment with a record for each length, and where they begin.
fn segment(first: u64, lengths: &[u8]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Header { identity: IDENTITY, first, behind: first }.encode().to_vec();
    let seed = Seed::new(&IDENTITY, first, &settings());
    let mut places = Vec::new();
    for (number, &length) in (first..).zip(lengths) {
        places.push(bytes.len());
        let payload = vec![length; usize::from(length)];
        let payload_checksum = checksum(&payload);
        let frame =
            Frame { length: payload.len(), number, witness: number.min(first), payload_checksum };
        bytes.extend_from_slice(&frame.encode(&seed));
        bytes.extend_from_slice(&payload);
    }
    (bytes, places)
}

#[test]
fn what_is_found_in_arbitrary_bytes_is_in_order_and_whole() {
    check!().with_iterations(20_000).with_generator(bytes(400)).for_each(|input: &Vec<u8>| {
        let settings = settings();
        // Without checksums much more is taken for records.
        let unchecked = Settings { omit: Some(crate::omit::Omit::Checksums), ..settings };
        for settings in [settings, unchecked] {
            let seed = Seed::new(&IDENTITY, 1, &settings);
            let found = scan(input, &seed, 1, u64::MAX);
            let (mut at, mut number) = (HEADER_BYTES, 1);
            for run in &found.runs {
                assert!(run.from >= at && run.first >= number && run.below > run.first);
                assert!(run.to <= input.len());
                let count = frames(input, &seed, *run).count() as u64;
                assert_eq!(count, run.below - run.first);
                (at, number) = (run.to, run.below);
            }
        }
    });
}

#[test]
fn damage_loses_the_records_that_it_strikes_and_no_others() {
    let generator = (bytes(40), produce::<[u16; 4]>());
    check!().with_iterations(20_000).with_generator(generator).for_each(
        |(lengths, [at, length, mask, zeros])| {
            let (mut input, places) = segment(1, lengths);
            input.resize(input.len() + usize::from(zeros % 200), 0);
            let end = places.len() as u64 + 1;
            let seed = Seed::new(&IDENTITY, 1, &settings());
            let body = input.len() - HEADER_BYTES;
            if body == 0 {
                return;
            }
            let from = HEADER_BYTES + usize::from(*at) % body;
            let to = (from + 1 + usize::from(length % 50)).min(input.len());
            let [_, mask] = (mask | 1).to_be_bytes();
            input[from..to].iter_mut().for_each(|byte| *byte ^= mask);
            let found = scan(&input, &seed, 1, u64::MAX);
            let numbers: Vec<u64> =
                found.runs.iter().flat_map(|run| run.first..run.below).collect();
            let ends = places[1.min(places.len())..].iter().copied();
            let whole_end =
                HEADER_BYTES + lengths.iter().map(|&l| FRAME_BYTES + usize::from(l)).sum::<usize>();
            let ends: Vec<_> = ends.chain([whole_end]).collect();
            let is_struck = |number: u64| {
                let at = usize::try_from(number - 1).unwrap();
                places[at] < to && from < ends[at]
            };
            let whole: Vec<u64> = (1..end).filter(|&number| !is_struck(number)).collect();
            assert_eq!(numbers, whole);
        },
    );
}

#[test]
fn whatever_is_in_a_folder_it_is_refused_or_can_be_used() {
    let generator = (bytes(24), bytes(24), produce::<[u16; 12]>());
    check!().with_iterations(4_000).with_generator(generator).for_each(
        |(some, others, strikes)| {
            let machine = Machine::new(7);
            let folder = machine.folder();
            let next = some.len() as u64 + 1;
            let slot = |turn, witness| Slot { identity: IDENTITY, turn, first: 1, witness };
            let mut mark = vec![0; 8192];
            mark[..64].copy_from_slice(&slot(1, 1).encode());
            mark[4096..4160].copy_from_slice(&slot(2, next).encode());
            let mut files = [
                ("mark".to_owned(), mark),
                (segment_name(1), segment(1, some).0),
                (segment_name(next), segment(next, others).0),
            ];
            for strike in strikes.chunks(3).take(usize::from(strikes[0] % 5)) {
                let file = &mut files[usize::from(strike[0] % 3)].1;
                let at = usize::from(strike[1]) % file.len();
                match strike[2] % 4 {
                    0 => file.truncate(at.max(1)),
                    1 => file[at..].fill(0),
                    _ => file[at] ^= 1 << (strike[2] % 8),
                }
            }
            for (name, bytes) in &files {
                let file = folder.create(name).unwrap();
                file.write(bytes, 0).unwrap();
                file.sync().unwrap();
            }
            folder.sync().unwrap();
            let accepting = Settings { accept_loss: true, ..settings() };
            let (journal, committer) =
                FileJournal::recover(machine.folder(), "a folder", accepting).unwrap();
            let (standing, lost) = (journal.standing(), journal.recovery().lost.clone());
            let read = |journal: &FileJournal| -> Vec<u64> {
                journal.read_from(0).unwrap().map(|record| record.unwrap().number).collect()
            };
            let numbers = read(&journal);
            assert!(numbers.is_sorted() && numbers.len() as u64 == journal.recovery().records);
            assert!(
                lost.is_some() || numbers == (standing.first..standing.next).collect::<Vec<_>>()
            );
            drop((journal, committer));
            let opened = FileJournal::recover(machine.folder(), "a folder", settings());
            let (journal, committer) = match opened {
                Ok(opened) => opened,
                Err(error) => panic!("{:?}: {}", error.kind() == ErrorKind::Refused, error.chain()),
            };
            assert_eq!((read(&journal), journal.standing().next), (numbers, standing.next));
            drop((journal, committer));
        },
    );
}
