//! Which operations may stand together in a batch.

use std::sync::Arc;

use bytes::Bytes;
use futures::executor::block_on;
use storage_engine::media::Media;
use storage_engine::*;

use crate::subject::{Kind, Subject, data, open_on};

/// What an operation does, to the name `k` of a space or to the space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Puts,
    PutsAnother,
    Rewrites,
    RemovesOne,
    RemovesNull,
    Locks,
    Creates,
    Drops,
    Clears,
}

const ON_THE_NAME: [Does; 6] = [
    Does::Puts,
    Does::PutsAnother,
    Does::Rewrites,
    Does::RemovesOne,
    Does::RemovesNull,
    Does::Locks,
];
const ON_THE_SPACE: [Does; 3] = [Does::Creates, Does::Drops, Does::Clears];

/// A space whose name `k` has a null version and an older one.
struct Place {
    space: SpaceId,
    older: u64,
    newest: Entry,
}

const NAME: Bytes = Bytes::from_static(b"k");

impl Place {
    fn make(subject: &mut Subject) -> Self {
        let space = subject.space();
        subject.put(space, "k", Keep::All, data(1, 100));
        let older = subject.engine().newest(space, &NAME).unwrap().unwrap().sequence;
        subject.put(space, "k", Keep::Null, data(2, 100));
        let newest = subject.engine().newest(space, &NAME).unwrap().unwrap();
        Self { space, older, newest }
    }

    fn operation(&self, engine: &Engine, does: Does) -> Operation {
        let (space, name, bypass) = (self.space, NAME, Bypass::None);
        let put = |keep| {
            let content = Content::Marker;
            Operation::Put(Put { space, name: name.clone(), keep, content, lock: None })
        };
        let remove = |which| Operation::Remove(Remove { space, name: name.clone(), which, bypass });
        match does {
            Does::Puts => put(Keep::Null),
            Does::PutsAnother => put(Keep::All),
            Does::Rewrites => {
                let entry = self.newest.clone();
                let value = block_on(engine.load(space, &name, &entry)).unwrap().value();
                let meta = Bytes::from_static(b"new");
                Operation::Rewrite(Rewrite { space, name, entry, value, meta, label: 9 })
            }
            Does::RemovesOne => remove(Which::Sequence(self.older)),
            Does::RemovesNull => remove(Which::Null),
            Does::Locks => {
                let change = LockChange::LegalHold(true);
                let which = Which::Sequence(self.older);
                Operation::SetLock(SetLock { space, name, which, change, bypass })
            }
            Does::Creates => Operation::CreateSpace(space),
            Does::Drops => Operation::DropSpace(space),
            Does::Clears => Operation::ClearSpace(space),
        }
    }
}

fn is_invalid<T>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::Invalid(_)))
}

#[test]
fn two_operations_on_one_name_or_space_are_refused_and_change_nothing() {
    let mut subject = Subject::simulated(1);
    let place = Place::make(&mut subject);
    let all = || ON_THE_NAME.into_iter().chain(ON_THE_SPACE);
    for (first, second) in all().flat_map(|first| all().map(move |second| (first, second))) {
        let engine = subject.engine();
        let operations = vec![place.operation(engine, first), place.operation(engine, second)];
        let answer = block_on(engine.commit(Batch { conditions: vec![], operations }));
        assert!(is_invalid(&answer), "{first:?}, {second:?}: {answer:?}");
        assert_eq!(engine.newest(place.space, &NAME).unwrap().as_ref(), Some(&place.newest));
    }
    subject.verify().unwrap();
    subject.restart();
    subject.verify().unwrap();
}

#[test]
fn operations_on_different_names_and_spaces_stand_together() {
    let mut subject = Subject::simulated(1);
    let places: Vec<_> = (0..8).map(|_| Place::make(&mut subject)).collect();
    let engine = subject.engine();
    let mut operations: Vec<_> = ON_THE_NAME
        .into_iter()
        .chain([Does::Clears])
        .zip(&places)
        .map(|(does, place)| place.operation(engine, does))
        .collect();
    operations.push(Operation::CreateSpace(engine.reserve_space()));
    // The same name in another space, and another name in a space that has one already.
    for (place, name) in [(&places[7], &b"k"[..]), (&places[7], b"k2"), (&places[0], b"k2")] {
        let (space, name) = (place.space, Bytes::from_static(name));
        let content = Content::Marker;
        operations.push(Operation::Put(Put { space, name, keep: Keep::All, content, lock: None }));
    }
    let outcomes = block_on(engine.commit(Batch { conditions: vec![], operations })).unwrap();
    assert_eq!(outcomes.len(), 11);
    assert!(engine.newest(places[7].space, b"k2").unwrap().is_some());
    assert_eq!(engine.newest(places[4].space, &NAME).unwrap().unwrap().sequence, places[4].older);
}

#[test]
fn the_root_space_stays() {
    let mut subject = Subject::simulated(1);
    for operation in [Operation::DropSpace(ROOT_SPACE), Operation::ClearSpace(ROOT_SPACE)] {
        let batch = Batch { conditions: vec![], operations: vec![operation] };
        let answer = block_on(subject.engine().commit(batch));
        assert!(is_invalid(&answer), "{answer:?}");
    }
    subject.put(ROOT_SPACE, "k", Keep::Null, data(1, 10));
    subject.verify().unwrap();
}

#[test]
fn space_ids_end_and_never_begin_again() {
    let mut subject = Subject::simulated(1);
    let create = |subject: &Subject, space| {
        let operations = vec![Operation::CreateSpace(space)];
        block_on(subject.engine().commit(Batch { conditions: vec![], operations }))
    };
    create(&subject, SpaceId(u32::MAX - 2)).unwrap();
    subject.engine().checkpoint().unwrap();
    for _ in 0..2 {
        let media = subject.media().restart();
        let (environment, media) = (Arc::clone(&subject.environment), Arc::new(media));
        let engine = Some(open_on(&environment, Arc::clone(&media) as Arc<dyn Media>).unwrap());
        let reference = subject.reference.clone();
        subject = Subject { environment, kind: Kind::Simulated(media), engine, reference };
        let last = subject.engine().reserve_space();
        assert!(last >= SpaceId(u32::MAX - 1), "{last}");
        if last == SpaceId(u32::MAX - 1) {
            create(&subject, last).unwrap();
        }
        for _ in 0..3 {
            let none = subject.engine().reserve_space();
            let refused = create(&subject, none);
            assert!(is_invalid(&refused), "{none}: {refused:?}");
        }
    }
}

#[test]
fn a_rewrite_with_another_value_is_refused() {
    let mut subject = Subject::simulated(1);
    let space = subject.space();
    let lens = [("inline", 100), ("shorter", 99), ("blob", 9_000), ("other blob", 9_000)];
    for (nth, (name, len)) in (1..).zip(lens) {
        subject.put(space, name, Keep::Null, data(nth, len));
    }
    let engine = subject.engine();
    let loaded = |name: &str| {
        let name = Bytes::copy_from_slice(name.as_bytes());
        let entry = engine.current(space, &name).unwrap().unwrap();
        let record = block_on(engine.load(space, &name, &entry)).unwrap();
        (name, entry, record.value())
    };
    let rewrite = |of: &str, with: &str, entry: Option<Entry>| {
        let (name, own, _) = loaded(of);
        let (entry, value) = (entry.unwrap_or(own), loaded(with).2);
        let meta = Bytes::from_static(b"new");
        let rewrite = Rewrite { space, name, entry, value, meta, label: 9 };
        let operations = vec![Operation::Rewrite(rewrite)];
        block_on(engine.commit(Batch { conditions: vec![], operations }))
    };
    for (of, with) in
        [("inline", "shorter"), ("inline", "blob"), ("blob", "inline"), ("blob", "other blob")]
    {
        assert!(is_invalid(&rewrite(of, with, None)), "{with} for {of}");
        // An entry that was made to fit the value is none of the version's.
        let (sequence, forged) = (loaded(of).1.sequence, loaded(with).1);
        let refused = rewrite(of, with, Some(Entry { sequence, ..forged }));
        assert!(is_invalid(&refused), "{with} for {of}, with its entry: {refused:?}");
    }
    for name in ["inline", "blob"] {
        rewrite(name, name, None).unwrap();
        let now = engine.current(space, name.as_bytes()).unwrap().unwrap();
        assert_eq!(now.label, 9);
    }
}
