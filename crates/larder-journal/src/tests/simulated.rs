//! A machine with a folder that keeps nothing but what was synced.
//!
//! At a power cut each sector of each write that was not synced is there or not, whatever the
//! others are; so is each name that was made, changed or removed since its folder was synced. Syncs
//! fail, and then forget what they should have kept, although it can still be read; or they lie.
//! The disk runs full. Power is cut at any one step.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::files::{File, Folder};

const SECTOR_BYTES: usize = 512;

/// The machine, which outlives the processes on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine(Arc<Mutex<State>>);

/// What goes wrong, and when.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Power is cut instead of the step after so many others.
    pub(crate) cut_after: Option<u64>,
    /// The sync after so many others fails.
    pub(crate) sync_fails_after: Option<u64>,
    /// The write after so many others fails, with some of it written.
    pub(crate) write_fails_after: Option<u64>,
    /// Syncs of files succeed and keep nothing, for good.
    pub(crate) syncs_lie: bool,
    /// How many bytes there is room for.
    pub(crate) capacity: Option<usize>,
}

#[derive(Debug, Default)]
struct State {
    /// How often a process was ended by force: handles of earlier ones are dead.
    life: u64,
    is_locked: bool,
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    name_changes: Vec<NameChange>,
    faults: Faults,
    random: u64,
    file_syncs: u64,
    folder_syncs: u64,
    writes: u64,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    /// What is read.
    cached: Vec<u8>,
    durable: Vec<u8>,
    /// What was done since it was synced.
    changes: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Cut(usize),
}

#[derive(Clone, Debug)]
enum NameChange {
    Create(String, u64),
    Rename(String, String, u64),
    Remove(String),
}

/// What a process has of it.
#[derive(Debug)]
struct Handle {
    machine: Machine,
    life: u64,
}

#[derive(Debug)]
struct OpenFile {
    handle: Handle,
    inode: u64,
}

struct Lock(Handle);

impl Machine {
    pub(crate) fn new(random: u64) -> Self {
        let machine = Self::default();
        machine.state().random = random.wrapping_mul(2).wrapping_add(1);
        machine
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The folder, for a process that begins now.
    pub(crate) fn folder(&self) -> Arc<dyn Folder> {
        Arc::new(self.handle())
    }

    fn handle(&self) -> Handle {
        Handle { machine: self.clone(), life: self.state().life }
    }

    pub(crate) fn set(&self, faults: Faults) {
        self.state().faults = faults;
    }

    pub(crate) fn faults(&self) -> Faults {
        self.state().faults
    }

    /// Ends the process. What it wrote stays in the cache.
    pub(crate) fn kill(&self) {
        let mut state = self.state();
        state.life += 1;
        state.is_locked = false;
    }

    /// Cuts the power.
    pub(crate) fn cut_power(&self) {
        self.state().cut_power();
    }

    pub(crate) fn is_dead(&self, life: u64) -> bool {
        self.state().life != life
    }

    pub(crate) fn life(&self) -> u64 {
        self.state().life
    }

    pub(crate) fn file_syncs(&self) -> u64 {
        self.state().file_syncs
    }

    pub(crate) fn writes(&self) -> u64 {
        self.state().writes
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    /// What would be left of a file at a power cut that keeps nothing it needn't.
    pub(crate) fn durable(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.durable_names.get(name).map(|id| state.inodes[id].durable.clone()).unwrap_or_default()
    }

    /// Changes a file behind everybody's back.
    pub(crate) fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let id = state.names[name];
        let inode = state.inodes.get_mut(&id).unwrap();
        assert!(inode.changes.is_empty(), "only what is durable can be tampered with");
        change(&mut inode.cached);
        inode.durable.clone_from(&inode.cached);
    }

    /// Loses a file.
    pub(crate) fn lose(&self, name: &str) {
        let mut state = self.state();
        state.names.remove(name).unwrap();
        state.durable_names.remove(name);
    }
}

impl State {
    fn draw(&mut self, below: u64) -> u64 {
        // SplitMix64: Steele, Lea, Flood 2014.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.random;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % below
    }

    /// Everything, nothing, or a part.
    fn luck(&mut self) -> u64 {
        [0, 4, 2, 3][usize::try_from(self.draw(4)).unwrap()]
    }

    fn happens(&mut self, luck: u64) -> bool {
        self.draw(4) < luck
    }

    fn cut_power(&mut self) {
        let ids: Vec<u64> = self.inodes.keys().copied().collect();
        for id in ids {
            self.keep_some(id);
            let inode = self.inodes.get_mut(&id).unwrap();
            inode.cached.clone_from(&inode.durable);
        }
        let luck = self.luck();
        for change in std::mem::take(&mut self.name_changes) {
            if self.happens(luck) {
                change.apply(&mut self.durable_names);
            }
        }
        self.names = self.durable_names.clone();
        let named: Vec<u64> = self.names.values().copied().collect();
        self.inodes.retain(|id, _| named.contains(id));
        self.life += 1;
        self.is_locked = false;
        self.faults = Faults { capacity: self.faults.capacity, ..Faults::default() };
    }

    /// Some of what was not synced becomes durable, the rest never will.
    fn keep_some(&mut self, id: u64) {
        let luck = self.luck();
        let mut inode = self.inodes.remove(&id).unwrap();
        for change in std::mem::take(&mut inode.changes) {
            for change in change.in_sectors() {
                if self.happens(luck) {
                    change.apply(&mut inode.durable);
                }
            }
        }
        self.inodes.insert(id, inode);
    }

    fn room(&self) -> usize {
        let used: usize = self.inodes.values().map(|inode| inode.cached.len()).sum();
        self.faults.capacity.map_or(usize::MAX, |capacity| capacity.saturating_sub(used))
    }

    fn sync_of(&mut self, count_down: impl Fn(&mut Faults) -> &mut Option<u64>) -> bool {
        let left = count_down(&mut self.faults);
        match left {
            Some(0) => {
                *left = None;
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }
}

impl Change {
    fn in_sectors(self) -> Vec<Self> {
        let Self::Write(mut at, bytes) = self else { return vec![self] };
        let mut rest = &bytes[..];
        let mut sectors = Vec::new();
        while !rest.is_empty() {
            let length = (SECTOR_BYTES - at % SECTOR_BYTES).min(rest.len());
            let (sector, others) = rest.split_at(length);
            sectors.push(Self::Write(at, sector.to_vec()));
            at += length;
            rest = others;
        }
        sectors
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, written) => {
                bytes.resize(bytes.len().max(at + written.len()), 0);
                bytes[*at..at + written.len()].copy_from_slice(written);
            }
            Self::Cut(length) => bytes.truncate(*length),
        }
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Create(name, id) => drop(names.insert(name.clone(), *id)),
            Self::Rename(from, to, id) => {
                names.remove(from);
                names.insert(to.clone(), *id);
            }
            Self::Remove(name) => drop(names.remove(name)),
        }
    }
}

impl Handle {
    /// The machine, for one step that changes something.
    fn step(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.look()?;
        if state.sync_of(|faults| &mut faults.cut_after) {
            state.cut_power();
            return Err(io::Error::other("the power was cut"));
        }
        Ok(state)
    }

    fn look(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.machine.state();
        if state.life == self.life { Ok(state) } else { Err(io::Error::other("dead")) }
    }

    fn file(&self, inode: u64) -> Box<dyn File> {
        let handle = Self { machine: self.machine.clone(), life: self.life };
        Box::new(OpenFile { handle, inode })
    }

    fn change(&self, state: &mut State, change: NameChange) {
        change.apply(&mut state.names);
        state.name_changes.push(change);
    }
}

impl Folder for Handle {
    fn lock(&self) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let mut state = self.look()?;
        if std::mem::replace(&mut state.is_locked, true) {
            return Ok(None);
        }
        Ok(Some(Box::new(Lock(Self { machine: self.machine.clone(), life: self.life }))))
    }

    fn holder(&self) -> String {
        "process 7".to_owned()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.look()?.names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        let id = self.look()?.names.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(id))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let mut state = self.step()?;
        let id = state.inodes.keys().next_back().map_or(1, |last| last + 1);
        state.inodes.insert(id, Inode::default());
        self.change(&mut state, NameChange::Create(name.to_owned(), id));
        Ok(self.file(id))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.step()?;
        let id = state.names.get(from).copied().ok_or(io::ErrorKind::NotFound)?;
        self.change(&mut state, NameChange::Rename(from.to_owned(), to.to_owned(), id));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.step()?;
        state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        self.change(&mut state, NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.step()?;
        state.folder_syncs += 1;
        if state.sync_of(|faults| &mut faults.sync_fails_after) {
            return Err(io::Error::other("the folder can't be synced"));
        }
        state.durable_names = state.names.clone();
        state.name_changes.clear();
        Ok(())
    }
}

impl File for OpenFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.handle.look()?.inodes[&self.inode].cached.len() as u64)
    }

    fn read(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        let state = self.handle.look()?;
        let cached = &state.inodes[&self.inode].cached;
        let rest = &cached[usize::try_from(at).unwrap().min(cached.len())..];
        let read = rest.len().min(bytes.len());
        bytes[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut state = self.handle.step()?;
        state.writes += 1;
        let at = usize::try_from(at).unwrap();
        let room = state.room().saturating_add(state.inodes[&self.inode].cached.len());
        let mut length = bytes.len().min(room.saturating_sub(at));
        let mut error = (length < bytes.len()).then(|| io::ErrorKind::StorageFull.into());
        if state.sync_of(|faults| &mut faults.write_fails_after) {
            length = usize::try_from(state.draw(length as u64 + 1)).unwrap();
            error = Some(io::Error::other("the disk can't write"));
        }
        let change = Change::Write(at, bytes[..length].to_vec());
        let inode = state.inodes.get_mut(&self.inode).unwrap();
        change.apply(&mut inode.cached);
        inode.changes.push(change);
        error.map_or(Ok(()), Err)
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        let mut state = self.handle.step()?;
        let change = Change::Cut(usize::try_from(length).unwrap());
        let inode = state.inodes.get_mut(&self.inode).unwrap();
        change.apply(&mut inode.cached);
        inode.changes.push(change);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.handle.step()?;
        state.file_syncs += 1;
        if state.sync_of(|faults| &mut faults.sync_fails_after) {
            state.keep_some(self.inode);
            return Err(io::Error::other("the file can't be synced"));
        }
        let lies = state.faults.syncs_lie;
        let inode = state.inodes.get_mut(&self.inode).unwrap();
        for change in std::mem::take(&mut inode.changes) {
            if !lies {
                change.apply(&mut inode.durable);
            }
        }
        Ok(())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Ok(mut state) = self.0.look() {
            state.is_locked = false;
        }
    }
}
