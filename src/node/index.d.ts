// SPDX-License-Identifier: MIT
// Direct I/O for Node.js on its own event loop. README.md tells how to begin.
//
// Errors are Error objects with `code` ('ENOENT', or the library's own: 'UVDIO_EALIGN', ...),
// `errno`, `syscall`, `path` and `dest` (of operations with two paths); wrong arguments are a
// TypeError or RangeError with ERR_INVALID_ARG_TYPE or ERR_INVALID_ARG_VALUE. All promises
// reject, none of the functions that return one throws.
/// <reference types="node" />

import { Readable, Writable } from 'node:stream';

/** Bytes: an integer from 0 to 2^53 - 1. */
export type Bytes = number | bigint;

export type PathLike = string | Buffer | URL;

export interface SignalOptions {
  /**
   * Asks that the operation end early. The promise is settled when the kernel has let go of the
   * memory: with an AbortError where the operation had not begun, else with its ordinary result.
   */
  signal?: AbortSignal;
}

/** A class of operations: setClass(). Numbers from 4 to 15 are the program's own. */
export type Class = 'default' | 'log' | 'foreground' | 'background' | number;

export interface OperationOptions extends SignalOptions {
  /** 'default': that of the file (OpenOptions.class). */
  class?: Class;
}

/** 'rw': an existing file or a new one; the others as in `fs`. There is no 'a': use a log. */
export type Flags = 'r' | 'r+' | 'w' | 'wx' | 'w+' | 'wx+' | 'rw';

export interface OpenOptions extends SignalOptions {
  /** Of the open, and of the file's operations that are given none; FileHandle.setClass(). */
  class?: Class;
  /** 'r' where it is not given. */
  flags?: Flags;
  /** Permissions of a file that is created; 0o666, less the umask. */
  mode?: number;
  /**
   * 'required': past the page cache, or the open fails with UVDIO_ENODIRECT; 'preferred': through
   * the page cache where the filesystem has no direct I/O; 'off': through the page cache, with
   * offsets and lengths of any alignment.
   */
  direct?: 'required' | 'preferred' | 'off';
  /** Of the whole file, against others that lock; UVDIO_ELOCKED where it is locked. */
  lock?: 'shared' | 'exclusive';
  /** Each write is durable when its promise is fulfilled (O_DSYNC). */
  dsync?: boolean;
  /** A symbolic link at the end of the path is ELOOP. */
  nofollow?: boolean;
  /** The alignment that the device wants, 512 bytes of many, instead of 4096. */
  nativeAlignment?: boolean;
  /**
   * A new file without a name, in the filesystem of the directory at the path; with flags 'r+'. It
   * is gone when it is closed, and after a crash, unless FileHandle.link() has given it a name.
   */
  anonymous?: boolean;
  /** With direct 'off' or 'preferred': leave nothing behind in the page cache. */
  dontCache?: boolean;
}

/** Opens a file for direct I/O. */
export function open(path: PathLike, flags?: Flags, mode?: number):
  Promise<FileHandle>;
export function open(path: PathLike, options: OpenOptions): Promise<FileHandle>;

/**
 * Aligned memory, zeroed. Reads go into it and writes come from it without a copy; so do parts of
 * it that begin at a multiple of 4096 (`subarray()`). Its ArrayBuffer can't be transferred
 * (`transfer()` throws ERR_INVALID_STATE); a copy in another thread is ordinary memory.
 */
export function alloc(size: Bytes): Buffer;

export interface FileInfo {
  /** What reads and writes this file: 'ring' (io_uring), 'aio', 'pool', 'memory'. */
  backend: string;
  /** Why it is not the backend of the thread, or ''. */
  reason: string;
  filesystem: string;
  /** 'bypassed': direct I/O; 'kept' or 'dropped': through the page cache. */
  pageCache: 'bypassed' | 'kept' | 'dropped';
  /** Bytes: of the memory of readInto(). */
  memoryAlignment: number;
  /** Bytes: of offsets and lengths. */
  alignment: number;
  /** Bytes: what the system wants; 0: it does not say. */
  systemAlignment: number;
  /** Bytes: sizes of writes that can't be torn; 0: none. */
  atomicMin: number;
  atomicMax: number;
}

export interface Stat {
  size: number;
  /** Bytes of space that are taken. */
  allocated: number;
  dev: bigint;
  ino: bigint;
  nlink: number;
  mode: number;
  atimeMs: number;
  mtimeMs: number;
  ctimeMs: number;
  birthtimeMs: number;
}

export interface ReadOptions extends OperationOptions {
  /** 0 where it is not given. Of any alignment. */
  offset?: Bytes;
  /** Of any alignment. */
  length: Bytes;
}

export interface WriteOptions extends OperationOptions {
  /** This write is durable when the promise is fulfilled. */
  durable?: boolean;
  /** This write can't be torn, or is refused with UVDIO_EATOMIC: FileInfo.atomicMin. */
  atomic?: boolean;
}

export interface PreallocateOptions extends OperationOptions {
  /** 'keepSize': the file's size stays; 'written': blocks are written with zeros. */
  space?: 'reserve' | 'keepSize' | 'written';
}

export interface Hints {
  /** Bytes that the filesystem allocates at a time; before the first write. 0: its own choice. */
  extentSize?: Bytes;
  /** How long what is written lives, against other files. */
  writeLife?: 'notSet' | 'none' | 'short' | 'medium' | 'long' | 'extreme';
}

/** An open file. Operations run in any order; a sync covers every change asked for before it. */
export class FileHandle implements AsyncDisposable {
  private constructor();
  readonly path: string;
  /** For calls that are not here; it stays this object's. ENOTSUP in memory. */
  readonly fd: number;
  /** Bytes: offset and length of readInto() and write() are multiples of it. */
  readonly alignment: number;
  info(): FileInfo;

  /** Reads into memory of its own. Less than `length` means the end of the file. */
  read(options: ReadOptions): Promise<Buffer>;
  /**
   * Reads into memory of alloc(), without a copy, and gives the number of bytes; fewer than the
   * buffer has mean the end of the file. Until then nobody may touch these bytes; another operation
   * on them is EBUSY.
   */
  readInto(buffer: NodeJS.ArrayBufferView, offset?: Bytes, options?: OperationOptions):
    Promise<number>;
  /** Like readInto(), into one buffer after the other, by one request. */
  readv(buffers: readonly NodeJS.ArrayBufferView[], offset?: Bytes, options?: OperationOptions):
    Promise<number>;
  /** The whole file. */
  readFile(options?: OperationOptions): Promise<Buffer>;
  /**
   * Writes all of the buffer. Memory of alloc() is written from where it is, and must not change
   * until the promise is settled; other memory is copied first, and may change at once.
   */
  write(buffer: NodeJS.ArrayBufferView, offset?: Bytes, options?: WriteOptions): Promise<number>;

  /** Like write(), of one buffer after the other, by one request. */
  writev(buffers: readonly NodeJS.ArrayBufferView[], offset?: Bytes, options?: WriteOptions):
    Promise<number>;

  /** fsync(2). After one that failed, all later changes and syncs of the handle fail, too. */
  sync(options?: OperationOptions): Promise<void>;
  /** fdatasync(2). */
  datasync(options?: OperationOptions): Promise<void>;
  truncate(size?: Bytes, options?: OperationOptions): Promise<void>;
  preallocate(offset: Bytes, length: Bytes, options?: PreallocateOptions): Promise<void>;
  punchHole(offset: Bytes, length: Bytes, options?: OperationOptions): Promise<void>;
  zeroRange(offset: Bytes, length: Bytes, options?: OperationOptions): Promise<void>;
  /** The offset of the first data at `offset` (0) or behind; ENXIO: none. */
  nextData(offset?: Bytes, options?: OperationOptions): Promise<number>;
  /** The offset of the first hole at `offset` (0) or behind; the file's end counts as one. */
  nextHole(offset?: Bytes, options?: OperationOptions): Promise<number>;
  /** Tells the filesystem how to place the file; ENOTSUP where it has no such hint. */
  setHint(hints: Hints, options?: OperationOptions): Promise<void>;
  size(): Promise<number>;
  stat(): Promise<Stat>;
  /** Syncs the file and gives it this path: a crash leaves the old file there, or this one. */
  replace(path: PathLike, options?: SignalOptions): Promise<void>;
  /** Gives the file a further name, or (OpenOptions.anonymous) its first one; EEXIST. */
  link(path: PathLike, options?: SignalOptions): Promise<void>;

  /** The class of operations that are given none, and of streams, from now on. */
  setClass(which: Class): void;

  createReadStream(options?: ReadStreamOptions): ReadStream;
  createWriteStream(options?: WriteStreamOptions): WriteStream;

  /**
   * Waits for what was asked for before, ends the streams (what was written to one goes into the
   * file; reading ones are destroyed), and closes. Does not sync.
   */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface StreamOptions extends SignalOptions {
  /** Close the file at the end of the stream; true. */
  autoClose?: boolean;
  /** Bytes of a block: 65536. Rounded up to the alignment. */
  highWaterMark?: number;
}

export interface ReadStreamOptions extends StreamOptions {
  /** The first byte: 0. Of any alignment. */
  start?: Bytes;
  /** The last byte, as in `fs`; the file's end. */
  end?: Bytes;
  /** Read ahead as far as possible from the begin on: for what is read to its end. */
  fullWindow?: boolean;
}

export interface WriteStreamOptions extends StreamOptions {
  /** Where the first byte lies: 0; a multiple of the alignment. What was there is overwritten. */
  start?: Bytes;
  /** Bytes that are expected. */
  sizeHint?: Bytes;
  /** The end of the stream syncs the file. */
  durable?: boolean;
  /** Zeros become holes. */
  sparse?: boolean;
}

export interface ReadStream extends Readable {
  readonly path: string;
  readonly bytesRead: number;
}

/**
 * Bytes of any number. The file ends with the last one, also where the stream is destroyed; one
 * that has taken none then leaves the file as it is.
 */
export interface WriteStream extends Writable {
  readonly path: string;
  readonly bytesWritten: number;
  /** All bytes that were written so far are durable. EBADF after end(): `durable` is for that. */
  sync(): Promise<void>;
}

export interface LogOptions {
  /**
   * Called for each record that is there, in order, before openLog() is fulfilled; it can't make
   * the log wait: Log.reader() with `follow: false` can. What it throws is what openLog() rejects
   * with.
   */
  replay?: (lsn: bigint, record: Buffer) => void;
  /** Bytes; 64 MiB. A log that is there keeps its own. */
  segmentSize?: Bytes;
  /** Bytes of a flush at most; 4 MiB. */
  bufferSize?: Bytes;
  /** Milliseconds for which a flush waits for company; 0. */
  windowMs?: number;
  /** Bytes for which it waits at most. */
  flushSize?: Bytes;
  /** Bytes that may wait for a flush; more is UVDIO_EFULL. 0: any number. */
  waitingMax?: Bytes;
  /** A flush goes on in the last block of the one before. */
  packed?: boolean;
  /** A directory without a log is ENOENT, and no new one is made. */
  existing?: boolean;
  /**
   * Milliseconds for which the open waits where somebody else has the log: another program, or the
   * kernel for one that was killed, until its last writes have ended. 0: UVDIO_ELOCKED at once.
   */
  lockWaitMs?: number;
}

export interface LogStats {
  /** All records whose LSN is below this are durable. */
  durable: bigint;
  appends: number;
  bytes: number;
  flushes: number;
  flushedBytes: number;
  replayed: number;
  waiting: number;
  firstSegment: number;
  lastSegment: number;
}

export interface LogRecord {
  lsn: bigint;
  /** A copy, yours. */
  data: Buffer;
}

export interface LogReaderOptions {
  /**
   * The first record is the first whose LSN is not below this one; the first that is there. To go
   * on where another reader has ended: the LSN of its last record plus 1n, or LogReaderInfo.next.
   */
  from?: bigint;
  /** false: the reader ends with what is durable when it is made; else it waits for more: true. */
  follow?: boolean;
  /** Bytes that are read ahead at most, a multiple of 16384; 1 MiB. */
  bufferSize?: Bytes;
  /** Bytes of a record at most, a longer one is UVDIO_ESIZE; 1 GiB. */
  recordMax?: Bytes;
  /** Log.cut() spares what the reader has to take; else it may get UVDIO_ECUT. */
  pin?: boolean;
  /** Of its reads. */
  class?: Class;
  /** Closes the reader: what waits, or the next call of next(), rejects with an AbortError. */
  signal?: AbortSignal;
}

export interface LogReaderInfo {
  /** LogReaderOptions.from of a reader that goes on behind this one. */
  next: bigint;
  /** Of the record that was given last; 0n: none was. */
  lsn: bigint;
  /** Records, and bytes of them. */
  taken: number;
  bytes: number;
  /** Reads that have ended. */
  reads: number;
}

/**
 * Durable records of an open log, each once and in order: `for await (const record of reader)`.
 * Nothing is read before it is asked for, and then no more than the buffer holds. Its end, an
 * error, `break` and close() close the reader.
 */
export class LogReader implements AsyncIterableIterator<LogRecord>, AsyncDisposable {
  private constructor();
  /** Of the log. */
  readonly path: string;
  /** `done` at the end: after Log.close() (`follow`), or a close of the reader. */
  next(): Promise<IteratorResult<LogRecord, undefined>>;
  return(value?: any): Promise<IteratorResult<LogRecord, any>>;
  /** After the close: how far it came. */
  info(): LogReaderInfo;
  /** Ends next() where that waits. */
  close(): Promise<void>;
  [Symbol.asyncIterator](): this;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Opens the log in a directory that is there: one without a log gets a new one. */
export function openLog(directory: PathLike, options?: LogOptions): Promise<Log>;

/** A write-ahead log with group commit. */
export class Log implements AsyncDisposable {
  private constructor();
  readonly path: string;
  /** The record's LSN, when it is durable, and all before it as well. The bytes are copied. */
  append(record: string | NodeJS.ArrayBufferView): Promise<bigint>;
  /** Gives up records before `lsn`; some of them may be replayed all the same. */
  cut(lsn: bigint): void;
  /** Throws where the options are wrong, and UVDIO_ECUT where `from` was given up. */
  reader(options?: LogReaderOptions): LogReader;
  stats(): LogStats;
  /**
   * Waits for the appends and for the readers, which give what is there and then end. So don't
   * await it within a reader's own loop, and close readers that nobody reads from.
   */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

// Names. They run in any order: await one where the next depends on it. None is durable before
// syncDirectory().

export interface RenameOptions extends SignalOptions {
  /** EEXIST where something is at `newPath`. */
  noReplace?: boolean;
}

/** Replaces what is at `newPath` in one step. */
export function rename(oldPath: PathLike, newPath: PathLike, options?: RenameOptions):
  Promise<void>;
/** A second name of a file. */
export function link(existingPath: PathLike, newPath: PathLike, options?: SignalOptions):
  Promise<void>;
export function unlink(path: PathLike, options?: SignalOptions): Promise<void>;
/** A directory; mode: 0o777, less the umask. */
export function mkdir(path: PathLike, options?: number | (SignalOptions & { mode?: number })):
  Promise<void>;
/** Removes an empty directory. */
export function rmdir(path: PathLike, options?: SignalOptions): Promise<void>;
/** Makes the names in a directory durable. */
export function syncDirectory(path: PathLike, options?: SignalOptions): Promise<void>;

export interface EngineOptions {
  /** 'auto': the first of ring, aio, pool that can be had. */
  backend?: 'auto' | 'ring' | 'aio' | 'pool' | 'memory';
  /** Operations in flight at most; 256. Others wait. */
  depth?: number;
  /** Operations that end in one turn of the loop at most; 32. */
  callbacksPerTurn?: number;
  /** Operations per system call at most; 16. */
  submitBatch?: number;
  /** Microseconds of each turn for which completions are polled for; 0. */
  busyPollUs?: number;
}

/** Of this thread, before its first operation; each worker has its own. */
export function configure(options?: EngineOptions): void;
/** What executes operations on this thread, and why nothing better. */
export function backend(): { name: string; reason: string };

export interface ClassLimits {
  /** Against the other classes, 10000 at most. default: 100, log: 1000, foreground: 500,
   * background: 50, others: 100. */
  shares?: number;
  /** Operations in flight at most. */
  depth?: number;
  operationsPerSecond?: number;
  /** Bytes of reads and writes. */
  bytesPerSecond?: Bytes;
  /** The kernel's I/O priority; 'realtime' takes a privilege (EPERM). */
  priority?: 'none' | 'idle' | 'low' | 'normal' | 'high' | 'realtime';
  /** While so many operations wait, further ones are UVDIO_EFULL; of 'log' that stops a log. */
  queueMax?: number;
  /** The same in bytes of reads and writes. */
  queueBytesMax?: Bytes;
}

/**
 * Sets the limits of a class of this thread, for what begins from now on; what is not given has
 * the default. The first call gives the thread classes; EBUSY where operations are pending then.
 */
export function setClass(which: Class, limits?: ClassLimits): void;

export interface ClassStats {
  operations: number;
  bytes: number;
  /** Operations that could not begin at once. */
  waited: number;
  /** Times that a limit per second has held the class up. */
  limited: number;
  /** UVDIO_EFULL. */
  refused: number;
  /** Now. */
  waiting: number;
  waitingBytes: number;
  inFlight: number;
}

/** ENOENT before the first setClass(). */
export function classStats(which: Class): ClassStats;
/** At most half of what `queueMax` and `queueBytesMax` allow waits. */
export function waitForRoom(which: Class): Promise<void>;

export interface Stats {
  submitted: number;
  completed: number;
  cancelled: number;
  failed: number;
  pending: number;
  inFlight: number;
  inFlightPeak: number;
  batches: number;
  systemCalls: number;
  wakeups: number;
  iterations: number;
  callbacksPeak: number;
  resumed: number;
  retried: number;
  punted: number;
  copiedByLibrary: number;
  longestCallNs: number;
  /** Bytes that write() has copied, because they were in no memory of alloc(). */
  copied: number;
  /** Allocations of the library now, in all threads. */
  allocations: number;
}

/** Counters of this thread. */
export function stats(): Stats;

/** The library's version. */
export const version: string;
