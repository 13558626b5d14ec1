//! Spilling and restoring, and what happens when storage fails.

use std::fmt;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_core::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path as Location;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, UploadPart,
};
use thornback_store::{Arena, Error, Spill, SpillOptions};
use thornback_types::{Id, ObjectId};

const PART: u64 = 64 << 10;
const LARGE: u64 = 10 * PART + 123;

fn object(n: u32) -> ObjectId {
    ObjectId(Id::new(*b"testtest", n, 1))
}

fn options() -> SpillOptions {
    let mut options = SpillOptions::default();
    options.part_bytes = PART;
    options.keep_free_bytes = 0;
    options
}

/// An arena whose first half is full of bytes that look different everywhere.
fn full_arena() -> Arena {
    let arena = Arena::new("thornback-test", 4 << 20).unwrap();
    let mut state = 1_u32;
    let bytes: Vec<u8> = (0..2 << 20)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    arena.write(0, &bytes).unwrap();
    arena
}

const SPARE: u64 = 2 << 20;

/// The files of a spill directory, but for locks.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            files.extend(fs::read_dir(entry.path()).unwrap().map(|file| file.unwrap().path()));
        }
    }
    files
}

#[tokio::test]
async fn objects_of_any_size_come_back_as_they_were() {
    let root = tempfile::tempdir().unwrap();
    let spill = Spill::open(root.path(), options()).unwrap();
    let arena = full_arena();
    for (n, len) in [0, 1, 64, PART - 1, PART, PART + 1, 2 * PART, LARGE].into_iter().enumerate() {
        let object = object(n as u32);
        let offset = 64 * n as u64;
        spill.spill(object, &arena, offset, len).await.unwrap();
        assert!(spill.contains(object));
        assert_eq!(spill.spilled_bytes(), len);
        spill.restore(object, &arena, SPARE, len).await.unwrap();
        assert_eq!(arena.read(SPARE, len).unwrap(), arena.read(offset, len).unwrap(), "{len} bytes");
        spill.delete(object).await.unwrap();
        assert!(!spill.contains(object));
        assert_eq!(spill.spilled_bytes(), 0);
        assert_eq!(files(root.path()), Vec::<PathBuf>::new());
    }
}

#[tokio::test]
async fn many_at_once_do_not_mix() {
    let root = tempfile::tempdir().unwrap();
    let spill = Spill::open(root.path(), options()).unwrap();
    let arena = full_arena();
    let each = |n: u32| (object(n), u64::from(n) * 1024, PART + u64::from(n));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..50 {
        let (spill, arena) = (spill.clone(), arena.clone());
        tasks.spawn(async move {
            let (object, offset, len) = each(n);
            spill.spill(object, &arena, offset, len).await.unwrap();
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    for n in 0..50 {
        let (object, offset, len) = each(n);
        spill.restore(object, &arena, SPARE, len).await.unwrap();
        assert_eq!(arena.read(SPARE, len).unwrap(), arena.read(offset, len).unwrap());
    }
}

#[tokio::test]
async fn what_was_changed_on_disk_is_found_out() {
    let root = tempfile::tempdir().unwrap();
    let spill = Spill::open(root.path(), options()).unwrap();
    let arena = full_arena();
    let change = |what: &str, bytes: &[u8]| match what {
        "cut" => bytes[..bytes.len() - 1].to_vec(),
        "cut to nothing" => Vec::new(),
        "grown" => [bytes, &[0]].concat(),
        "first byte" => [&[bytes[0] ^ 1], &bytes[1..]].concat(),
        "checksum" => [&bytes[..bytes.len() - 1], &[bytes[bytes.len() - 1] ^ 0x80]].concat(),
        "last byte of data" => {
            let mut bytes = bytes.to_vec();
            let at = bytes.len() - 21;
            bytes[at] ^= 1;
            bytes
        }
        _ => unreachable!(),
    };
    for len in [100, LARGE] {
        for what in ["cut", "cut to nothing", "grown", "first byte", "checksum", "last byte of data"] {
            spill.spill(object(1), &arena, 0, len).await.unwrap();
            let [file] = files(root.path()).try_into().unwrap();
            fs::write(&file, change(what, &fs::read(&file).unwrap())).unwrap();
            let result = spill.restore(object(1), &arena, SPARE, len).await;
            assert!(matches!(result, Err(Error::Corrupt { .. })), "{what} of {len}: {result:?}");
        }
        // Put right again.
        spill.spill(object(1), &arena, 0, len).await.unwrap();
        spill.restore(object(1), &arena, SPARE, len).await.unwrap();
        // Gone.
        fs::remove_file(&files(root.path())[0]).unwrap();
        let result = spill.restore(object(1), &arena, SPARE, len).await;
        assert!(matches!(result, Err(Error::Corrupt { .. })), "{result:?}");
        spill.delete(object(1)).await.unwrap();
    }
}

#[tokio::test]
async fn another_objects_file_does_not_pass() {
    let root = tempfile::tempdir().unwrap();
    let spill = Spill::open(root.path(), options()).unwrap();
    let arena = full_arena();
    spill.spill(object(1), &arena, 0, 500).await.unwrap();
    let one = files(root.path()).pop().unwrap();
    spill.spill(object(2), &arena, 1000, 500).await.unwrap();
    let two = files(root.path()).into_iter().find(|file| *file != one).unwrap();
    fs::copy(&one, &two).unwrap();
    let result = spill.restore(object(2), &arena, SPARE, 500).await;
    assert!(matches!(result, Err(Error::Corrupt { .. })), "{result:?}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let spill = Spill::open(root.path(), options()).unwrap();
    let arena = full_arena();
    assert!(matches!(spill.restore(object(1), &arena, 0, 10).await, Err(Error::NotSpilled(_))));
    assert!(matches!(spill.spill(object(1), &arena, arena.size(), 1).await, Err(Error::OutOfRange { .. })));
    spill.spill(object(1), &arena, 0, 10).await.unwrap();
    assert!(matches!(spill.restore(object(1), &arena, 0, 11).await, Err(Error::Corrupt { .. })));
    assert!(matches!(
        spill.restore(object(1), &arena, arena.size() - 5, 10).await,
        Err(Error::OutOfRange { .. })
    ));
    spill.delete(object(9)).await.unwrap();
}

#[tokio::test]
async fn the_limits_hold_and_what_is_stored_stays() {
    let root = tempfile::tempdir().unwrap();
    let mut limited = options();
    limited.max_bytes = 1000;
    let spill = Spill::open(root.path(), limited).unwrap();
    let arena = full_arena();
    assert_eq!(spill.free_disk_bytes(), 1000);
    spill.spill(object(1), &arena, 0, 600).await.unwrap();
    assert_eq!(spill.free_disk_bytes(), 400);
    let result = spill.spill(object(2), &arena, 0, 500).await;
    assert!(matches!(result, Err(Error::OutOfDisk { free: 400, .. })), "{result:?}");
    assert!(!spill.contains(object(2)));
    spill.restore(object(1), &arena, SPARE, 600).await.unwrap();
    spill.delete(object(1)).await.unwrap();
    spill.spill(object(2), &arena, 0, 500).await.unwrap();

    let mut greedy = options();
    greedy.keep_free_bytes = u64::MAX;
    let spill = Spill::open(root.path(), greedy).unwrap();
    let result = spill.spill(object(3), &arena, 0, 1).await;
    assert!(matches!(result, Err(Error::OutOfDisk { free: 0, .. })), "{result:?}");
}

#[tokio::test]
async fn a_full_disk_is_told_from_other_failures_and_costs_nothing_that_is_stored() {
    for (kind, full) in [
        (io::ErrorKind::StorageFull, true),
        (io::ErrorKind::QuotaExceeded, true),
        (io::ErrorKind::Other, false),
    ] {
        for len in [100, LARGE] {
            let storage = Arc::new(Failing::new(kind));
            let spill = Spill::to_storage(storage.clone(), options());
            let arena = full_arena();
            spill.spill(object(1), &arena, 0, len).await.unwrap();

            storage.fail.store(true, Ordering::SeqCst);
            let result = spill.spill(object(2), &arena, 0, len).await;
            match &result {
                Err(Error::OutOfDisk { .. }) => assert!(full, "{result:?}"),
                Err(Error::Storage(_)) => assert!(!full, "{result:?}"),
                other => panic!("{other:?}"),
            }
            assert!(!spill.contains(object(2)));
            assert_eq!(spill.spilled_bytes(), len);
            // What was promised to the failed transfer is free again.
            assert_eq!(spill.free_disk_bytes(), u64::MAX - len);
            // An upload in parts was given up, not left lying.
            assert_eq!(storage.aborted.load(Ordering::SeqCst), usize::from(len > PART));

            storage.fail.store(false, Ordering::SeqCst);
            spill.restore(object(1), &arena, SPARE, len).await.unwrap();
            assert_eq!(arena.read(SPARE, len).unwrap(), arena.read(0, len).unwrap());
            spill.spill(object(2), &arena, 0, len).await.unwrap();
        }
    }
}

#[tokio::test]
async fn memory_for_a_transfer_is_bounded() {
    let storage = Arc::new(Failing::new(io::ErrorKind::Other));
    let spill = Spill::to_storage(storage.clone(), options());
    let arena = full_arena();
    spill.spill(object(1), &arena, 0, LARGE).await.unwrap();
    spill.restore(object(1), &arena, SPARE, LARGE).await.unwrap();
    assert!(storage.largest.load(Ordering::SeqCst) as u64 <= PART + 20);
}

#[tokio::test]
async fn the_event_loop_goes_on_meanwhile() {
    // On a runtime with one thread: were a transfer to block it, the counter below could not run between its steps.
    let root = tempfile::tempdir().unwrap();
    let spill = Spill::open(root.path(), options()).unwrap();
    let arena = full_arena();
    let transfer = tokio::spawn(async move {
        spill.spill(object(1), &arena, 0, LARGE).await.unwrap();
        spill.restore(object(1), &arena, SPARE, LARGE).await.unwrap();
    });
    let mut turns = 0_u32;
    while !transfer.is_finished() {
        turns += 1;
        tokio::task::yield_now().await;
    }
    transfer.await.unwrap();
    assert!(turns > 10, "{turns}");
}

#[tokio::test]
async fn the_directory_goes_with_the_last_clone() {
    let root = tempfile::tempdir().unwrap();
    let spill = Spill::open(root.path(), options()).unwrap();
    let arena = full_arena();
    spill.spill(object(1), &arena, 0, 100).await.unwrap();
    let clone = spill.clone();
    drop(spill);
    clone.restore(object(1), &arena, SPARE, 100).await.unwrap();
    drop(clone);
    assert_eq!(files(root.path()), Vec::<PathBuf>::new());
}

/// A store that fails writes on demand, as a local file system does, and watches.
#[derive(Debug)]
struct Failing {
    inner: InMemory,
    kind: io::ErrorKind,
    fail: Arc<AtomicBool>,
    aborted: Arc<AtomicUsize>,
    largest: AtomicUsize,
}

impl Failing {
    fn new(kind: io::ErrorKind) -> Failing {
        Failing {
            inner: InMemory::new(),
            kind,
            fail: Arc::default(),
            aborted: Arc::default(),
            largest: AtomicUsize::new(0),
        }
    }
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failing")
    }
}

/// The system's error below two others, as a store wraps it.
fn failure(kind: io::ErrorKind) -> object_store::Error {
    let source = io::Error::other(object_store::Error::Generic {
        store: "inner",
        source: io::Error::from(kind).into(),
    });
    object_store::Error::Generic { store: "failing", source: source.into() }
}

#[async_trait::async_trait]
impl ObjectStore for Failing {
    async fn put_opts(
        &self,
        at: &Location,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        if self.fail.load(Ordering::SeqCst) {
            return Err(failure(self.kind));
        }
        self.inner.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Location,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        let inner = self.inner.put_multipart_opts(at, options).await?;
        let (fail, aborted) = (self.fail.clone(), self.aborted.clone());
        Ok(Box::new(FailingUpload { inner, kind: self.kind, fail, aborted, parts: 0 }))
    }

    async fn get_opts(&self, at: &Location, options: GetOptions) -> object_store::Result<GetResult> {
        let head = options.head;
        let result = self.inner.get_opts(at, options).await?;
        if !head {
            let Range { start, end } = result.range;
            self.largest.fetch_max((end - start) as usize, Ordering::SeqCst);
        }
        Ok(result)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Location>>,
    ) -> BoxStream<'static, object_store::Result<Location>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Location>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Location>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Location,
        to: &Location,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct FailingUpload {
    inner: Box<dyn MultipartUpload>,
    kind: io::ErrorKind,
    fail: Arc<AtomicBool>,
    aborted: Arc<AtomicUsize>,
    parts: u32,
}

#[async_trait::async_trait]
impl MultipartUpload for FailingUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.parts += 1;
        // The disk runs full half-way.
        if self.parts > 3 && self.fail.load(Ordering::SeqCst) {
            let error = failure(self.kind);
            return Box::pin(async { Err(error) });
        }
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        self.inner.complete().await
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        self.aborted.fetch_add(1, Ordering::SeqCst);
        self.inner.abort().await
    }
}
