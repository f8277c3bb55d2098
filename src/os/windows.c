/* SPDX-License-Identifier: MIT */
/*
 * Windows: FILE_FLAG_NO_BUFFERING, FILE_FLAG_OVERLAPPED, SetFileInformationByHandle, VirtualAlloc.
 *
 * Handles are overlapped, and every transfer names its offset and waits for its own event. Of a
 * synchronous handle, as libuv's files have it, Windows performs one request at a time, whatever
 * the number of workers that wait for it ("Synchronous and Asynchronous I/O": the I/O manager
 * takes the file object's lock). Some requests are performed in the submitting call all the same,
 * those that extend a file among them ("Asynchronous disk I/O appears as synchronous on Windows").
 *
 * As on the other systems a file is truncated only when nothing can be refused any more: an open
 * that fails must not have destroyed anything, and removes what it has created.
 */

/* FileStorageInfo, which tells the sector size, came with Windows 8. */
#if !defined(_WIN32_WINNT) || _WIN32_WINNT < 0x0602
#undef _WIN32_WINNT
#define _WIN32_WINNT 0x0602
#endif

#include "os/os.h"

#include <assert.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <windows.h>
#include <winioctl.h>
#include <wnnc.h>

/* libuv's translation, but for a few codes: a request that a filesystem does not know is no
 * directory for that (libuv has reads on directories in mind), a refusal should have one name in
 * all versions of libuv (UV_EPERM up to some, UV_EACCES since), three shortages have none there,
 * and a failure without a reason must not pass for a success. */
static int error_of(DWORD code) {
  switch (code) {
    case ERROR_SUCCESS:
      return UV_UNKNOWN;
    case ERROR_INVALID_FUNCTION:
    case ERROR_CALL_NOT_IMPLEMENTED:
      return UV_ENOTSUP;
    case ERROR_DIRECTORY:
      return UV_ENOTDIR;
    case ERROR_ACCESS_DENIED:
      return UV_EACCES;
    case ERROR_FILE_TOO_LARGE:
      return UV_EFBIG;
    case ERROR_COMMITMENT_LIMIT:
    case ERROR_NO_SYSTEM_RESOURCES:
    case ERROR_WORKING_SET_QUOTA:
      return UV_ENOMEM;
    default:
      return uv_translate_sys_error((int)code);
  }
}

static int last_error(void) {
  return error_of(GetLastError());
}

static HANDLE handle_of(intptr_t descriptor) {
  return (HANDLE)descriptor;
}

/*
 * Overlapped calls. They work on synchronous handles as well, where the call itself waits.
 */

/* With this bit of the event set, nothing is posted to a completion port that a program has
 * associated with the handle (GetQueuedCompletionStatus()). Handles are multiples of 4, and the
 * system ignores the bits below. */
#define NO_PACKET ((uintptr_t)1)

static HANDLE event_of(const OVERLAPPED* call) {
  return (HANDLE)((uintptr_t)call->hEvent & ~NO_PACKET);
}

/* An event for each call: one for each thread would be left behind by threads that end, and costs
 * little beside a worker's wake-up. The offset never is one of the two that mean "at the end" and
 * "at the file pointer", because those are negative. */
static int begin_call(OVERLAPPED* call, uint64_t offset) {
  HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);

  assert(offset <= INT64_MAX);
  memset(call, 0, sizeof(*call));
  if (event == NULL) {
    return last_error();
  }
  call->hEvent = (HANDLE)((uintptr_t)event | NO_PACKET);
  call->Offset = (DWORD)(offset & 0xffffffffu);
  call->OffsetHigh = (DWORD)(offset >> 32);
  return 0;
}

/* Waits until the system is done with the call and with its memory, whatever a wait says. `begun`
 * is what the system's function has returned, and comes with GetLastError(). Returns the error of
 * the system, or ERROR_SUCCESS; *count are the bytes of both. */
static DWORD end_call(HANDLE handle, OVERLAPPED* call, BOOL begun, DWORD* count) {
  DWORD code = begun ? ERROR_SUCCESS : GetLastError();

  if (code == ERROR_IO_PENDING) {
    do {
      (void)WaitForSingleObject(event_of(call), INFINITE);
    } while (!HasOverlappedIoCompleted(call));
    code = GetOverlappedResult(handle, call, count, FALSE) ? ERROR_SUCCESS : GetLastError();
  }
  *count = (DWORD)call->InternalHigh;
  (void)CloseHandle(event_of(call));
  return code;
}

/* Of files every request is overlapped, not only transfers; other functions than this one and
 * those below wait by themselves. */
static DWORD control(HANDLE handle, DWORD request, void* in, size_t in_size, void* out,
                     size_t out_size, DWORD* count) {
  OVERLAPPED call;
  BOOL begun;

  *count = 0;
  if (begin_call(&call, 0) != 0) {
    return ERROR_NO_SYSTEM_RESOURCES;
  }
  begun = DeviceIoControl(handle, request, in, (DWORD)in_size, out, (DWORD)out_size, NULL, &call);
  return end_call(handle, &call, begun, count);
}

/*
 * Transfers
 */

/* To start at or past the end of the file is an error here, and no bytes everywhere else. */
int64_t uvdio__os_read(intptr_t descriptor, void* base, size_t length, uint64_t offset) {
  OVERLAPPED call;
  DWORD count;
  DWORD code;
  int error = begin_call(&call, offset);

  assert(length <= UVDIO__TRANSFER_MAX);
  if (error != 0) {
    return error;
  }
  code = end_call(handle_of(descriptor), &call,
                  ReadFile(handle_of(descriptor), base, (DWORD)length, NULL, &call), &count);
  if (code == ERROR_HANDLE_EOF) {
    return 0;
  }
  return code == ERROR_SUCCESS ? (int64_t)count : error_of(code);
}

int64_t uvdio__os_write(intptr_t descriptor, const void* base, size_t length, uint64_t offset,
                        unsigned flags) {
  OVERLAPPED call;
  DWORD count;
  DWORD code;
  int error = begin_call(&call, offset);

  assert(flags == 0); /* Writes are durable by the handle (FILE_FLAG_WRITE_THROUGH) or a sync. */
  (void)flags;
  assert(length <= UVDIO__TRANSFER_MAX);
  if (error != 0) {
    return error;
  }
  code = end_call(handle_of(descriptor), &call,
                  WriteFile(handle_of(descriptor), base, (DWORD)length, NULL, &call), &count);
  return code == ERROR_SUCCESS ? (int64_t)count : error_of(code);
}

/* ReadFileScatter() and WriteFileGather() take pieces of one page, and direct files only: so there
 * is a call for each piece, until one is short. What was read before an error counts. An error of a
 * write is told at once: a durable one must not be repeated away. */
static int64_t move_pieces(intptr_t descriptor, const uvdio__piece_t* pieces, unsigned count,
                           uint64_t offset, int is_write) {
  int64_t moved = 0;
  unsigned i;

  for (i = 0; i < count; i++) {
    uint64_t at = offset + (uint64_t)moved;
    int64_t part = is_write ? uvdio__os_write(descriptor, pieces[i].base, pieces[i].length, at, 0)
                            : uvdio__os_read(descriptor, pieces[i].base, pieces[i].length, at);
    if (part < 0) {
      return is_write || moved == 0 ? part : moved;
    }
    moved += part;
    if ((size_t)part < pieces[i].length) {
      break;
    }
  }
  return moved;
}

int64_t uvdio__os_readv(intptr_t descriptor, const uvdio__piece_t* pieces, unsigned count,
                        uint64_t offset) {
  return move_pieces(descriptor, pieces, count, offset, 0);
}

int64_t uvdio__os_writev(intptr_t descriptor, const uvdio__piece_t* pieces, unsigned count,
                         uint64_t offset, unsigned flags) {
  assert(flags == 0);
  (void)flags;
  return move_pieces(descriptor, pieces, count, offset, 1);
}

/*
 * Files
 */

/* Data, metadata and the drive's cache, all at once: Win32 has no lesser form. A handle without the
 * right to write may not flush; nothing can have been changed through it, either. */
int uvdio__os_sync(intptr_t descriptor, int data_only) {
  (void)data_only;
  if (FlushFileBuffers(handle_of(descriptor)) || GetLastError() == ERROR_ACCESS_DENIED) {
    return 0;
  }
  return last_error();
}

/* A disk or volume has a length where a file has a size. The error is the one of the size: most of
 * those that can't tell it are no disks, either. */
int64_t uvdio__os_size(intptr_t descriptor) {
  HANDLE handle = handle_of(descriptor);
  LARGE_INTEGER size;
  GET_LENGTH_INFORMATION disk;
  DWORD count;
  DWORD code;

  if (GetFileSizeEx(handle, &size)) {
    return size.QuadPart;
  }
  code = GetLastError();
  if (control(handle, IOCTL_DISK_GET_LENGTH_INFO, NULL, 0, &disk, sizeof(disk), &count) ==
      ERROR_SUCCESS) {
    return disk.Length.QuadPart;
  }
  return error_of(code);
}

int uvdio__os_truncate(intptr_t descriptor, uint64_t length) {
  FILE_END_OF_FILE_INFO end;

  end.EndOfFile.QuadPart = (LONGLONG)length;
  return SetFileInformationByHandle(handle_of(descriptor), FileEndOfFileInfo, &end, sizeof(end))
             ? 0
             : last_error();
}

/* An allocation smaller than the file would cut it, so one is made for files that are shorter only;
 * the others have their space, unless they are sparse, and then setting it would not fill the
 * holes. The size follows, because what lies past it is given back when the file is closed.
 *
 * Windows has no call that only grows a file: a write past the range that ends between the look at
 * the size and the two changes is cut off (UVDIO__PREALLOCATE_CUTS). */
int uvdio__os_preallocate(intptr_t descriptor, uint64_t offset, uint64_t length, unsigned flags) {
  FILE_ALLOCATION_INFO allocation;
  int64_t size = uvdio__os_size(descriptor);
  uint64_t end = offset + length;

  if (size < 0) {
    return (int)size;
  }
  if ((flags & UVDIO_SPACE_WRITTEN) != 0) {
    return UV_ENOTSUP;
  }
  if ((uint64_t)size >= end) {
    return 0;
  }
  allocation.AllocationSize.QuadPart = (LONGLONG)end;
  if (!SetFileInformationByHandle(handle_of(descriptor), FileAllocationInfo, &allocation,
                                  sizeof(allocation))) {
    return last_error();
  }
  return (flags & UVDIO_SPACE_KEEP_SIZE) != 0 ? 0 : uvdio__os_truncate(descriptor, end);
}

/* Of a sparse file the space is given back, of any other zeros are written. */
int uvdio__os_zero_range(intptr_t descriptor, uint64_t offset, uint64_t length) {
  FILE_ZERO_DATA_INFORMATION zero;
  DWORD count;
  DWORD code;

  zero.FileOffset.QuadPart = (LONGLONG)offset;
  zero.BeyondFinalZero.QuadPart = (LONGLONG)(offset + length);
  code = control(handle_of(descriptor), FSCTL_SET_ZERO_DATA, &zero, sizeof(zero), NULL, 0, &count);
  return code == ERROR_SUCCESS ? 0 : error_of(code);
}

int uvdio__os_punch_hole(intptr_t descriptor, uint64_t offset, uint64_t length) {
  DWORD count;
  DWORD code = control(handle_of(descriptor), FSCTL_SET_SPARSE, NULL, 0, NULL, 0, &count);

  return code == ERROR_SUCCESS ? uvdio__os_zero_range(descriptor, offset, length) : error_of(code);
}

/* The first range at or behind the offset that has space. Returns 0, UV_ENXIO (none) or an error.
 * Of what knows no holes all has. */
static int find_allocated(intptr_t descriptor, uint64_t offset, uint64_t size, uint64_t* begin,
                          uint64_t* end) {
  FILE_ALLOCATED_RANGE_BUFFER asked;
  FILE_ALLOCATED_RANGE_BUFFER found;
  DWORD count;
  DWORD code;

  asked.FileOffset.QuadPart = (LONGLONG)offset;
  asked.Length.QuadPart = (LONGLONG)(size - offset);
  *begin = offset;
  *end = size;
  code = control(handle_of(descriptor), FSCTL_QUERY_ALLOCATED_RANGES, &asked, sizeof(asked), &found,
                 sizeof(found), &count);
  if (code != ERROR_SUCCESS && code != ERROR_MORE_DATA) {
    int error = error_of(code);
    return error == UV_ENOTSUP || error == UV_EINVAL ? 0 : error;
  }
  if (count < sizeof(found)) {
    return UV_ENXIO;
  }
  if ((uint64_t)found.FileOffset.QuadPart > offset) {
    *begin = (uint64_t)found.FileOffset.QuadPart;
  }
  *end = (uint64_t)found.FileOffset.QuadPart + (uint64_t)found.Length.QuadPart;
  return 0;
}

int64_t uvdio__os_next_data(intptr_t descriptor, uint64_t offset) {
  int64_t size = uvdio__os_size(descriptor);
  uint64_t begin;
  uint64_t end;
  int error;

  if (size < 0 || offset >= (uint64_t)size) {
    return size < 0 ? size : UV_ENXIO;
  }
  error = find_allocated(descriptor, offset, (uint64_t)size, &begin, &end);
  return error != 0 ? error : (int64_t)begin;
}

int64_t uvdio__os_next_hole(intptr_t descriptor, uint64_t offset) {
  int64_t size = uvdio__os_size(descriptor);
  uint64_t begin;
  uint64_t end;

  if (size < 0 || offset >= (uint64_t)size) {
    return size < 0 ? size : UV_ENXIO;
  }
  while (offset < (uint64_t)size) {
    int error = find_allocated(descriptor, offset, (uint64_t)size, &begin, &end);
    if (error == UV_ENXIO || (error == 0 && begin > offset)) {
      return (int64_t)offset;
    }
    if (error != 0) {
      return error;
    }
    offset = end;
  }
  return size;
}

int uvdio__os_close(intptr_t descriptor) {
  return CloseHandle(handle_of(descriptor)) ? 0 : last_error();
}

/*
 * Opening
 */

/* UTF-8 that is broken is refused and not repaired: a repaired name would be another file's. */
static int widen(const char* text, wchar_t** wide) {
  int length = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);

  if (length == 0) {
    return last_error();
  }
  *wide = malloc((size_t)length * sizeof(**wide));
  if (*wide == NULL) {
    return UV_ENOMEM;
  }
  length = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, *wide, length);
  assert(length != 0);
  (void)length;
  return 0;
}

/* Whether a link at the end of the path is opened itself. Exclusive creation asks for that, too:
 * what a dangling link points to does not exist, and the link does. */
static int opens_links(const uvdio__open_state_t* opening) {
  return (opening->flags & (UVDIO_O_NOFOLLOW | UVDIO_O_EXCLUSIVE)) != 0;
}

/* Write-through: the drive is told to put each write where it stays (force unit access). Some
 * drives are known not to listen, and uvdio_sync_data() is what makes those do it. */
static DWORD open_attributes(const uvdio__open_state_t* opening, int direct) {
  DWORD attributes = FILE_ATTRIBUTE_NORMAL | FILE_FLAG_OVERLAPPED;

  attributes |= direct ? FILE_FLAG_NO_BUFFERING : 0;
  attributes |= (opening->flags & UVDIO_O_DSYNC) != 0 ? FILE_FLAG_WRITE_THROUGH : 0;
  attributes |= opens_links(opening) ? FILE_FLAG_OPEN_REPARSE_POINT : 0;
  return attributes;
}

static DWORD open_disposition(const uvdio__open_state_t* opening) {
  if ((opening->flags & UVDIO_O_EXCLUSIVE) != 0) {
    return CREATE_NEW;
  }
  return (opening->flags & UVDIO_O_CREATE) != 0 ? OPEN_ALWAYS : OPEN_EXISTING;
}

/* Shared in every way, as files are on the other systems. Without security attributes a handle is
 * not inherited. */
static HANDLE open_handle(const uvdio__open_state_t* opening, const wchar_t* path, int direct) {
  DWORD access = (opening->flags & UVDIO_O_WRONLY) != 0 ? FILE_READ_ATTRIBUTES : GENERIC_READ;

  access |= (opening->flags & (UVDIO_O_RDWR | UVDIO_O_WRONLY)) != 0 ? GENERIC_WRITE : 0;
  return CreateFileW(path, access, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                     open_disposition(opening), open_attributes(opening, direct), NULL);
}

/* The error of a call on a path. One that leads through a file is not found here, and has an error
 * of its own elsewhere. Cuts the path. */
static int error_of_path(wchar_t* path, DWORD code) {
  wchar_t* end = path + wcslen(path);
  DWORD attributes = INVALID_FILE_ATTRIBUTES;

  if (code != ERROR_PATH_NOT_FOUND) {
    return error_of(code);
  }
  while (end > path && attributes == INVALID_FILE_ATTRIBUTES) {
    end--;
    if (*end == L'/' || *end == L'\\') {
      *end = L'\0';
      attributes = GetFileAttributesW(path);
    }
  }
  return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) == 0
             ? UV_ENOTDIR
             : error_of(code);
}

/* A directory can't be opened as a file, and the system calls that a lack of permission. */
static int explain_refusal(const uvdio__open_state_t* opening, wchar_t* path, DWORD code) {
  DWORD attributes =
      code == ERROR_ACCESS_DENIED ? GetFileAttributesW(path) : INVALID_FILE_ATTRIBUTES;

  if (attributes == INVALID_FILE_ATTRIBUTES || (attributes & FILE_ATTRIBUTE_DIRECTORY) == 0) {
    return error_of_path(path, code);
  }
  if ((opening->flags & UVDIO_O_NOFOLLOW) != 0 &&
      (attributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0) {
    return UV_ELOOP;
  }
  return UV_EISDIR;
}

/* What a filesystem that can't do without its cache says to the flag. */
static int is_refusal_of_direct(DWORD code) {
  return code == ERROR_INVALID_PARAMETER || code == ERROR_NOT_SUPPORTED;
}

/* A name that ends so is a directory's. */
static int ends_with_slash(const wchar_t* path) {
  size_t length = wcslen(path);

  return length > 0 && (path[length - 1] == L'/' || path[length - 1] == L'\\');
}

/* Both attempts are whole opens with all that was asked for. A filesystem refuses the flag before
 * it creates anything, so that at most one of them does something. */
static int open_path(uvdio__open_state_t* opening, wchar_t* path) {
  HANDLE handle;
  int is_new;

  if (ends_with_slash(path) && (opening->flags & UVDIO_O_CREATE) != 0) {
    return UV_EISDIR; /* which no open makes, as open(2) has it */
  }
  opening->direct = (opening->flags & UVDIO_O_BUFFERED) == 0;
  handle = open_handle(opening, path, opening->direct);
  if (handle == INVALID_HANDLE_VALUE && opening->direct && is_refusal_of_direct(GetLastError())) {
    if ((opening->flags & UVDIO_O_DIRECT_PREFERRED) == 0) {
      return UVDIO_ENODIRECT;
    }
    opening->direct = 0;
    handle = open_handle(opening, path, 0);
  }
  if (handle == INVALID_HANDLE_VALUE) {
    return explain_refusal(opening, path, GetLastError());
  }
  is_new = (opening->flags & UVDIO_O_CREATE) != 0 && GetLastError() != ERROR_ALREADY_EXISTS;
  opening->opened_at = is_new ? UVDIO__OPEN_PATH : UVDIO__OPEN_PRESENT;
  opening->descriptor = (intptr_t)handle;
  return 0;
}

/* Whether it is what can be read at an offset, and what the path names. A reparse point that was
 * opened itself shows its own few bytes and not the file's; where it is no link but marks a file
 * that is kept elsewhere (deduplicated, in a cloud), it can't be told from outside whether
 * following it stays at this file. */
static int check_kind(const uvdio__open_state_t* opening) {
  HANDLE handle = handle_of(opening->descriptor);
  FILE_ATTRIBUTE_TAG_INFO info;

  if (GetFileType(handle) != FILE_TYPE_DISK) {
    return UV_ESPIPE;
  }
  if (!GetFileInformationByHandleEx(handle, FileAttributeTagInfo, &info, sizeof(info))) {
    return 0; /* A disk or a volume; it has no attributes. */
  }
  if (opens_links(opening) && (info.FileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0) {
    return IsReparseTagNameSurrogate(info.ReparseTag) ? UV_ELOOP : UV_ENOTSUP;
  }
  return (info.FileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0 ? UV_EISDIR : 0;
}

/* A power of two, or 0 for what the device does not know. */
static uint32_t usable_align(ULONG size) {
  return (size & (size - 1)) == 0 ? (uint32_t)size : 0;
}

/* Offsets and lengths go by the logical sector, which is the smallest that uncached transfers take.
 * Memory goes by the physical one, as far as the filesystem heeds it ("File Buffering";
 * FILE_STORAGE_INFO), and what is recommended by the one that costs no more than it has to. */
static void learn_alignment(uvdio__open_state_t* opening) {
  FILE_STORAGE_INFO info;

  if (!opening->direct || !GetFileInformationByHandleEx(handle_of(opening->descriptor),
                                                        FileStorageInfo, &info, sizeof(info))) {
    return;
  }
  opening->offset_align = usable_align(info.LogicalBytesPerSector);
  opening->memory_align = usable_align(info.FileSystemEffectivePhysicalBytesPerSectorForAtomicity);
  opening->recommended_align = usable_align(info.PhysicalBytesPerSectorForPerformance);
  opening->facts.physical_block = opening->recommended_align;
  opening->align_source = UVDIO_ALIGN_SYSTEM;
}

static const char* local_name(HANDLE handle) {
  static const struct {
    const wchar_t* system;
    const char* name;
  } known[] = {{L"NTFS", "ntfs"},   {L"ReFS", "refs"}, {L"FAT", "fat"},   {L"FAT32", "fat32"},
               {L"exFAT", "exfat"}, {L"UDF", "udf"},   {L"CDFS", "cdfs"}, {L"CSVFS", "csvfs"}};
  wchar_t name[MAX_PATH + 1];
  size_t i;

  if (!GetVolumeInformationByHandleW(handle, NULL, 0, NULL, NULL, NULL, name, MAX_PATH + 1)) {
    return NULL;
  }
  for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
    if (wcscmp(name, known[i].system) == 0) {
      return known[i].name;
    }
  }
  return NULL;
}

/* Only what is known to keep to it counts as a filesystem that reads on to the end: a network may
 * not, and one that nobody knows promises nothing. Over a network the name would be that of the
 * server's filesystem. */
static void name_filesystem(uvdio__open_state_t* opening) {
  HANDLE handle = handle_of(opening->descriptor);
  FILE_REMOTE_PROTOCOL_INFO remote;
  const char* name;

  opening->quirks |= UVDIO__QUIRK_NO_WRITE_DSYNC;
  if (GetFileInformationByHandleEx(handle, FileRemoteProtocolInfo, &remote, sizeof(remote))) {
    opening->filesystem = remote.Protocol == WNNC_NET_SMB ? "smb" : "unknown";
    opening->quirks |= UVDIO__QUIRK_SHORT_READ_NOT_EOF;
    return;
  }
  name = local_name(handle);
  opening->filesystem = name != NULL ? name : "unknown";
  opening->quirks |= name != NULL ? 0 : UVDIO__QUIRK_SHORT_READ_NOT_EOF;
}

/* 100 nanoseconds since 1601, and nanoseconds since 1970; 0 where these have no number. */
static int64_t ns_of(const LARGE_INTEGER* time) {
  int64_t since = time->QuadPart - INT64_C(116444736000000000);
  int has_number = time->QuadPart > 0 && since <= INT64_MAX / 100 && since >= INT64_MIN / 100;

  return has_number ? since * 100 : 0;
}

/* Disks and volumes have a length alone. */
int uvdio__os_stat(intptr_t descriptor, uvdio_stat_t* stat) {
  HANDLE file = handle_of(descriptor);
  int64_t size = uvdio__os_size(descriptor);
  FILE_STANDARD_INFO standard;
  FILE_BASIC_INFO times;

  if (size < 0) {
    return (int)size;
  }
  stat->size = (uint64_t)size;
  if (GetFileInformationByHandleEx(file, FileStandardInfo, &standard, sizeof(standard))) {
    stat->allocated = (uint64_t)standard.AllocationSize.QuadPart;
    stat->links = standard.NumberOfLinks;
  }
  if (GetFileInformationByHandleEx(file, FileBasicInfo, &times, sizeof(times))) {
    stat->accessed_ns = ns_of(&times.LastAccessTime);
    stat->modified_ns = ns_of(&times.LastWriteTime);
    stat->changed_ns = ns_of(&times.ChangeTime);
    stat->created_ns = ns_of(&times.CreationTime);
  }
  return 0;
}

static void learn_facts(uvdio__open_state_t* opening) {
  HANDLE file = handle_of(opening->descriptor);
  LARGE_INTEGER size;
  FILE_BASIC_INFO times;

  if (GetFileSizeEx(file, &size)) {
    opening->facts.size = (uint64_t)size.QuadPart;
  }
  if (GetFileInformationByHandleEx(file, FileBasicInfo, &times, sizeof(times))) {
    opening->facts.modified_ns = ns_of(&times.LastWriteTime);
    opening->facts.changed_ns = ns_of(&times.ChangeTime);
    opening->facts.created_ns = ns_of(&times.CreationTime);
  }
}

static int learn_file(uvdio__open_state_t* opening) {
  int error = check_kind(opening);

  if (error != 0) {
    return error;
  }
  learn_alignment(opening);
  learn_facts(opening);
  name_filesystem(opening);
  return (opening->flags & UVDIO_O_TRUNCATE) != 0 ? uvdio__os_truncate(opening->descriptor, 0) : 0;
}

int uvdio__os_dup(intptr_t descriptor, intptr_t* copy) {
  HANDLE process = GetCurrentProcess();
  HANDLE handle;

  if (!DuplicateHandle(process, (HANDLE)descriptor, process, &handle, 0, FALSE,
                       DUPLICATE_SAME_ACCESS)) {
    *copy = -1;
    return last_error();
  }
  *copy = (intptr_t)handle;
  return 0;
}

void uvdio__os_release_lock(intptr_t descriptor) {
  (void)descriptor;
}

/* By the handle, whatever the path leads to by now: a second handle on the same file marks it as
 * deleted, which it is when the last one is closed. */
void uvdio__os_undo_open(uvdio__open_state_t* opening) {
  HANDLE file = handle_of(opening->descriptor);
  HANDLE remover;

  if (opening->descriptor == -1 || opening->opened_at != UVDIO__OPEN_PATH ||
      uvdio__os_size(opening->descriptor) != 0) {
    return;
  }
  remover = ReOpenFile(file, DELETE, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                       FILE_FLAG_DELETE_ON_CLOSE);
  if (remover != INVALID_HANDLE_VALUE) {
    (void)CloseHandle(remover);
  }
}

/* Locks of this system keep out who does not ask for one, too; and a device for oneself is one that
 * nobody else can even look at. */
static int can_open_so(unsigned flags) {
  return (flags & UVDIO__LOCKS) == 0 &&
         (flags & (UVDIO_O_EXCLUSIVE | UVDIO_O_CREATE)) != UVDIO_O_EXCLUSIVE;
}

int uvdio__os_open(uvdio__open_state_t* opening) {
  wchar_t* path = NULL;
  int error = widen(opening->path, &path);

  if (error == 0 && !can_open_so(opening->flags)) {
    error = UV_ENOTSUP;
  }
  if (error != 0) {
    free(path);
    return error;
  }
  error = open_path(opening, path);
  free(path);
  if (error != 0) {
    return error;
  }
  error = learn_file(opening);
  if (error != 0) {
    uvdio__os_undo_open(opening);
    (void)uvdio__os_close(opening->descriptor);
    opening->descriptor = -1;
  }
  return error;
}

/*
 * Names
 */

/* Codes tell less than rename(2) and its like: that a directory is in the way of a file, or a file
 * in that of a directory, is a lack of permission to them, and that a path leads through a file. */

static int is_directory(const wchar_t* path) {
  DWORD attributes = GetFileAttributesW(path);

  return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

static int is_file(const wchar_t* path) {
  DWORD attributes = GetFileAttributesW(path);

  return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) == 0;
}

/* Cuts the path. */
static int error_of_one(wchar_t* path, DWORD code) {
  if (code == ERROR_ACCESS_DENIED && is_directory(path)) {
    return UV_EISDIR; /* of an unlink; the other calls want directories */
  }
  return error_of_path(path, code);
}

/* Cuts both paths. */
static int error_of_two(wchar_t* path, wchar_t* new_path, DWORD code) {
  int error;

  if (code == ERROR_ACCESS_DENIED && is_file(path) && is_directory(new_path)) {
    return UV_EISDIR;
  }
  if (code == ERROR_ACCESS_DENIED && is_directory(path) && is_file(new_path)) {
    return UV_ENOTDIR;
  }
  error = error_of_path(path, code);
  return error == UV_ENOTDIR ? error : error_of_path(new_path, code);
}

static int with_path(const char* path, BOOL(WINAPI* call)(LPCWSTR)) {
  wchar_t* wide = NULL;
  int error = widen(path, &wide);

  if (error == 0) {
    error = call(wide) ? 0 : error_of_one(wide, GetLastError());
    free(wide);
  }
  return error;
}

static BOOL WINAPI make_directory(LPCWSTR path) {
  return CreateDirectoryW(path, NULL);
}

static int move(wchar_t* path, wchar_t* new_path, int no_replace) {
  if (is_file(path) && ends_with_slash(new_path)) {
    return UV_ENOTDIR;
  }
  return MoveFileExW(path, new_path, no_replace ? 0 : MOVEFILE_REPLACE_EXISTING)
             ? 0
             : error_of_two(path, new_path, GetLastError());
}

static int make_link(wchar_t* path, wchar_t* new_path, int no_replace) {
  (void)no_replace;
  if (is_directory(path)) {
    return UV_EPERM;
  }
  if (ends_with_slash(new_path)) {
    return UV_ENOENT;
  }
  return CreateHardLinkW(new_path, path, NULL) ? 0 : error_of_two(path, new_path, GetLastError());
}

static int with_two_paths(const char* path, const char* new_path, int no_replace,
                          int (*call)(wchar_t*, wchar_t*, int)) {
  wchar_t* wide = NULL;
  wchar_t* new_wide = NULL;
  int error = widen(path, &wide);

  if (error == 0) {
    error = widen(new_path, &new_wide);
  }
  if (error == 0) {
    error = call(wide, new_wide, no_replace);
  }
  free(new_wide);
  free(wide);
  return error;
}

int uvdio__os_rename(const uvdio__names_t* names) {
  return with_two_paths(names->path, names->new_path, (names->flags & UVDIO_RENAME_NO_REPLACE) != 0,
                        move);
}

int uvdio__os_link(const uvdio__names_t* names) {
  return with_two_paths(names->path, names->new_path, 0, make_link);
}

int uvdio__os_link_open_file(intptr_t descriptor, const uvdio__names_t* names) {
  (void)descriptor;
  (void)names;
  return UV_ENOTSUP;
}

int uvdio__os_unlink(const uvdio__names_t* names) {
  return with_path(names->path, DeleteFileW);
}

int uvdio__os_mkdir(const uvdio__names_t* names) {
  return with_path(names->path, make_directory);
}

int uvdio__os_rmdir(const uvdio__names_t* names) {
  return with_path(names->path, RemoveDirectoryW);
}

int uvdio__os_sync_open_directory(intptr_t descriptor, int data_only) {
  (void)descriptor;
  (void)data_only;
  return UV_ENOTSUP;
}

int uvdio__os_sync_directory(const char* path) {
  (void)path;
  return UV_ENOTSUP;
}

/* Nothing here makes a name durable for certain. That is no failed sync of the file, which the step
 * would say. */
int uvdio__os_replace(intptr_t descriptor, uvdio__names_t* names) {
  (void)descriptor;
  names->step = UVDIO__REPLACE_RENAME;
  return UV_ENOTSUP;
}

/*
 * Memory
 */

size_t uvdio__os_page_size(void) {
  SYSTEM_INFO info;

  GetSystemInfo(&info);
  return info.dwPageSize;
}

void* uvdio__os_map(size_t size) {
  return VirtualAlloc(NULL, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

/* All of it or nothing: a release takes no size. */
void uvdio__os_unmap(void* memory, size_t size) {
  (void)size;
  (void)VirtualFree(memory, 0, MEM_RELEASE);
}

void* uvdio__os_aligned_alloc(size_t size, size_t alignment) {
  return _aligned_malloc(size, alignment);
}

void uvdio__os_aligned_free(void* memory) {
  _aligned_free(memory);
}

int uvdio__os_thread_count(void) {
  return 0;
}

/* Large pages come from an allocation that asks for them, under a privilege that hardly any account
 * has. */
int uvdio__os_advise_huge(void* memory, size_t size) {
  (void)memory;
  (void)size;
  return UV_ENOTSUP;
}

/* The limit is the process's minimum working set, some hundred KiB unless the program has raised it
 * (SetProcessWorkingSetSize), which is not for a library to do. */
int uvdio__os_lock(void* memory, size_t size) {
  return VirtualLock(memory, size) ? 0 : last_error();
}

void uvdio__os_unlock(void* memory, size_t size) {
  (void)VirtualUnlock(memory, size);
}

int uvdio__os_protect(void* memory, size_t size, int accessible) {
  DWORD before;

  return VirtualProtect(memory, size, accessible ? PAGE_READWRITE : PAGE_NOACCESS, &before)
             ? 0
             : last_error();
}

_Thread_local uintptr_t uvdio__os_this_thread;

/* Windows has no fork. */
atomic_uint uvdio__os_forks;
