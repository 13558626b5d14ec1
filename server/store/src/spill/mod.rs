//! Objects that left their arena for storage: written whole or not at all, and checked when they come back.

mod directory;
mod format;

use std::collections::HashMap;
use std::fmt;
use std::path::Path as FsPath;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};
use thornback_types::ObjectId;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::error::says_disk_is_full;
use crate::{Arena, Error};
use directory::Directory;
use format::{Checksum, TRAILER_LEN, parse_trailer, trailer};

/// Limits of a [`Spill`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Most bytes that may lie in the storage at once. Default: no limit but the disk's.
    pub max_bytes: u64,
    /// Free bytes of the file system that spilling never touches, so that a full store does not break everything else on the machine.
    /// Default: 256 MiB.
    pub keep_free_bytes: u64,
    /// Bytes that are in memory at once for one transfer, twice. Object stores on the network want at least 5 MiB. Default: 8 MiB.
    pub part_bytes: u64,
    /// Transfers in each direction that run at once; others wait. Default: 2.
    pub concurrency: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { max_bytes: u64::MAX, keep_free_bytes: 256 << 20, part_bytes: 8 << 20, concurrency: 2 }
    }
}

/// A place for objects that do not fit into memory. Cloning is cheap and names the same place.
///
/// Spilled objects are for this server's lifetime: the last clone takes them with it, and those of a server that was killed are removed
/// when the next one opens the same directory.
///
/// The futures need a tokio runtime and never block its threads. [`Spill::spill`] and [`Spill::restore`] work on a range of an arena that
/// belongs to them **until they end**: do not drop them half-way, or a copy that is still under way meets the range's next owner.
#[derive(Clone)]
pub struct Spill(Arc<Inner>);

struct Inner {
    storage: Arc<dyn ObjectStore>,
    // None for storage that is not a local directory.
    directory: Option<Directory>,
    options: Options,
    stock: Mutex<Stock>,
    spilling: Semaphore,
    restoring: Semaphore,
}

/// What lies in the storage.
#[derive(Default)]
struct Stock {
    sizes: HashMap<ObjectId, u64>,
    bytes: u64,
    // Bytes that transfers under way are going to need.
    promised: u64,
}

impl Spill {
    /// Opens a directory for spilling, after removing what killed servers left there. Blocks for as long as that takes.
    pub fn open(root: &FsPath, options: Options) -> Result<Spill, Error> {
        let doing = || format!("cannot use {} for spilling", root.display());
        let directory = Directory::create(root).map_err(Error::io(doing()))?;
        let storage = LocalFileSystem::new_with_prefix(directory.path()).map_err(Error::Storage)?;
        Ok(Spill::with(Arc::new(storage), Some(directory), options))
    }

    /// Spills to any object store. Nobody cleans up there after a server that was killed.
    #[must_use]
    pub fn to_storage(storage: Arc<dyn ObjectStore>, options: Options) -> Spill {
        Spill::with(storage, None, options)
    }

    fn with(storage: Arc<dyn ObjectStore>, directory: Option<Directory>, options: Options) -> Spill {
        let options = Options {
            part_bytes: options.part_bytes.max(1),
            concurrency: options.concurrency.clamp(1, Semaphore::MAX_PERMITS),
            ..options
        };
        Spill(Arc::new(Inner {
            storage,
            directory,
            stock: Mutex::default(),
            spilling: Semaphore::new(options.concurrency),
            restoring: Semaphore::new(options.concurrency),
            options,
        }))
    }

    /// Copies `len` bytes at `offset` of `arena` to storage, as `object`. Once this is done, and only then, the range may be used for
    /// something else. An object that lies there already is replaced. After an error the storage is as it was before.
    pub async fn spill(&self, object: ObjectId, arena: &Arena, offset: u64, len: u64) -> Result<(), Error> {
        arena.check(offset, len)?;
        let _turn = self.0.spilling.acquire().await;
        let promise = self.promise(len)?;
        match self.write(object, arena, offset, len).await {
            Ok(()) => {
                drop(promise);
                self.stock().add(object, len);
                Ok(())
            }
            // The disk filled up meanwhile, or a quota says no where the file system would have said yes.
            Err(Error::Storage(e)) if says_disk_is_full(&e) => Err(Error::OutOfDisk {
                needed: len + TRAILER_LEN,
                free: 0,
                kept: self.0.options.keep_free_bytes,
            }),
            Err(e) => Err(e),
        }
    }

    /// Copies a spilled object of `len` bytes to `offset` of `arena`. It stays in the storage until [`Spill::delete`]. Only after success
    /// may anyone read the range; after an error anything may stand there.
    pub async fn restore(&self, object: ObjectId, arena: &Arena, offset: u64, len: u64) -> Result<(), Error> {
        arena.check(offset, len)?;
        if !self.contains(object) {
            return Err(Error::NotSpilled(object));
        }
        let _turn = self.0.restoring.acquire().await;
        self.read(object, arena, offset, len).await
    }

    /// Removes an object from the storage. One that is not there is no error.
    pub async fn delete(&self, object: ObjectId) -> Result<(), Error> {
        match self.0.storage.delete(&location(object)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {
                self.stock().remove(object);
                Ok(())
            }
            Err(e) => Err(Error::Storage(e)),
        }
    }

    /// Whether the object was spilled and not deleted since.
    #[must_use]
    pub fn contains(&self, object: ObjectId) -> bool {
        self.stock().sizes.contains_key(&object)
    }

    /// Bytes of all objects in the storage.
    #[must_use]
    pub fn spilled_bytes(&self) -> u64 {
        self.stock().bytes
    }

    /// Bytes that could be spilled now: what the file system has free and what the [options](Options) allow, less what transfers under way
    /// are going to use. 0 if the file system does not say.
    #[must_use]
    pub fn free_disk_bytes(&self) -> u64 {
        self.free_after(&self.stock())
    }

    fn free_after(&self, stock: &Stock) -> u64 {
        let options = &self.0.options;
        let allowed = options.max_bytes.saturating_sub(stock.bytes);
        let on_disk = match &self.0.directory {
            None => u64::MAX,
            Some(directory) => rustix::fs::statvfs(directory.path())
                .map_or(0, |s| s.f_bavail.saturating_mul(s.f_frsize).saturating_sub(options.keep_free_bytes)),
        };
        allowed.min(on_disk).saturating_sub(stock.promised)
    }

    /// Sets bytes aside for a transfer, so that many at once do not each take the last free ones.
    fn promise(&self, len: u64) -> Result<Promise<'_>, Error> {
        let mut stock = self.stock();
        let free = self.free_after(&stock);
        let needed = len + TRAILER_LEN;
        if needed > free {
            return Err(Error::OutOfDisk { needed, free, kept: self.0.options.keep_free_bytes });
        }
        stock.promised += needed;
        Ok(Promise { spill: self, bytes: needed })
    }

    async fn write(&self, object: ObjectId, arena: &Arena, offset: u64, len: u64) -> Result<(), Error> {
        let part = self.0.options.part_bytes;
        let checksum = Checksum::of(object);
        let location = location(object);

        if len <= part {
            let (data, checksum) = read_part(arena.clone(), offset, len, checksum).await?;
            let whole = PutPayload::from_iter([data, trailer(len, checksum.finish())]);
            self.0.storage.put(&location, whole).await.map_err(Error::Storage)?;
            return Ok(());
        }

        let mut upload = self.0.storage.put_multipart(&location).await.map_err(Error::Storage)?;
        let written = write_parts(&mut *upload, arena, offset, len, part, checksum).await;
        if written.is_err() {
            // The first error is the one to tell; a local upload also cleans up when it is dropped.
            let _ = upload.abort().await;
        }
        written
    }

    async fn read(&self, object: ObjectId, arena: &Arena, offset: u64, len: u64) -> Result<(), Error> {
        let storage = &self.0.storage;
        let location = location(object);
        let corrupt = |problem: String| Error::Corrupt { object, problem };
        let failed = |e: object_store::Error| match e {
            object_store::Error::NotFound { .. } => corrupt("its file is gone".to_owned()),
            e => Error::Storage(e),
        };

        let found = storage.head(&location).await.map_err(failed)?.size;
        if found != len + TRAILER_LEN {
            return Err(corrupt(format!("it has {found} bytes instead of {}", len + TRAILER_LEN)));
        }
        let options = GetOptions { range: Some(GetRange::Suffix(TRAILER_LEN)), ..GetOptions::default() };
        let end =
            storage.get_opts(&location, options).await.map_err(failed)?.bytes().await.map_err(failed)?;
        let expected = parse_trailer(&end, len).map_err(corrupt)?;

        // The next part is fetched while this one is copied.
        let part = self.0.options.part_bytes;
        let mut checksum = Checksum::of(object);
        let mut fetched: Option<(u64, Bytes)> = None;
        let mut at = 0_u64;
        loop {
            let range = at..at.saturating_add(part).min(len);
            let fetch = async {
                if range.is_empty() {
                    Ok(None)
                } else {
                    storage.get_range(&location, range.clone()).await.map(Some)
                }
            };
            let copy = async {
                match fetched.take() {
                    None => Ok(checksum.clone()),
                    Some((at, data)) => write_part(arena.clone(), offset + at, data, checksum.clone()).await,
                }
            };
            let (next, copied) = tokio::join!(fetch, copy);
            checksum = copied?;
            match next.map_err(failed)? {
                None => break,
                Some(data) if data.len() as u64 == range.end - range.start => fetched = Some((at, data)),
                Some(_) => return Err(corrupt("it was cut short while it was read".to_owned())),
            }
            at = range.end;
        }

        match checksum.finish() {
            found if found == expected => Ok(()),
            found => Err(corrupt(format!("its checksum is {found:08x} instead of {expected:08x}"))),
        }
    }

    fn stock(&self) -> MutexGuard<'_, Stock> {
        // Nothing panics while it is held half-changed.
        self.0.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Spill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spill").field("storage", &self.0.storage).finish_non_exhaustive()
    }
}

impl Stock {
    fn add(&mut self, object: ObjectId, len: u64) {
        self.remove(object);
        self.sizes.insert(object, len);
        self.bytes += len;
    }

    fn remove(&mut self, object: ObjectId) {
        if let Some(len) = self.sizes.remove(&object) {
            self.bytes -= len;
        }
    }
}

/// Bytes set aside for a transfer, until it ends.
struct Promise<'a> {
    spill: &'a Spill,
    bytes: u64,
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        self.spill.stock().promised -= self.bytes;
    }
}

/// Uploads a range of an arena in parts; the next part is copied out while this one is written.
async fn write_parts(
    upload: &mut dyn MultipartUpload,
    arena: &Arena,
    offset: u64,
    len: u64,
    part: u64,
    checksum: Checksum,
) -> Result<(), Error> {
    let (mut data, mut checksum) = read_part(arena.clone(), offset, part.min(len), checksum).await?;
    let mut done = data.len() as u64;
    while done < len {
        let next = part.min(len - done);
        let put = upload.put_part(data.into());
        let (put, read) = tokio::join!(put, read_part(arena.clone(), offset + done, next, checksum));
        // Read to its end before leaving: it works on a range that is no longer ours afterwards.
        (data, checksum) = read?;
        put.map_err(Error::Storage)?;
        done += next;
    }
    let last = PutPayload::from_iter([data, trailer(len, checksum.finish())]);
    upload.put_part(last).await.map_err(Error::Storage)?;
    upload.complete().await.map_err(Error::Storage)?;
    Ok(())
}

async fn read_part(
    arena: Arena,
    offset: u64,
    len: u64,
    mut checksum: Checksum,
) -> Result<(Bytes, Checksum), Error> {
    off_thread(move || {
        let data = arena.read(offset, len)?;
        checksum.update(&data);
        Ok((data, checksum))
    })
    .await
}

async fn write_part(
    arena: Arena,
    offset: u64,
    data: Bytes,
    mut checksum: Checksum,
) -> Result<Checksum, Error> {
    off_thread(move || {
        checksum.update(&data);
        arena.write(offset, &data)?;
        Ok(checksum)
    })
    .await
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    spawn_blocking(work)
        .await
        .unwrap_or_else(|e| Err(Error::io("a transfer was cut off by the end of the runtime")(e.into())))
}

fn location(object: ObjectId) -> Path {
    Path::from(object.to_string())
}
