/* SPDX-License-Identifier: MIT */
/*
 * Codes into words: libuv's, the system's that libuv has no words for, and the library's own;
 * without ever allocating (uv_strerror does, for codes that it does not know).
 */
#include <errno.h>
#ifdef UVDIO_HAVE_RING
#include <liburing.h>
#endif

#include "uvdio.h"

static int is_libuv_code(int error) {
  switch (error) {
#define CASE_OF(name, message) case UV_##name:
    UV_ERRNO_MAP(CASE_OF)
#undef CASE_OF
    return 1;
    default:
      return 0;
  }
}

/* The system's codes that libuv passes on without a name, be it in some versions only. Windows has
 * none: libuv translates what it has. The texts are static; the C library's need not be, and are
 * not safe on every thread. */
static const struct {
  int error;
  const char* name;
  const char* message;
} systems[] = {
/* clang-format off */
#define ENTRY(name, message) {-(name), #name, message},
#ifdef _WIN32
    {0, NULL, NULL}
#else
    ENTRY(ENOEXEC, "exec format error")
    ENTRY(ECHILD, "no child processes")
    ENTRY(ENOTBLK, "block device required")
    ENTRY(EDOM, "numerical argument out of domain")
    ENTRY(EDEADLK, "resource deadlock avoided")
    ENTRY(ENOLCK, "no locks available")
    ENTRY(ENOMSG, "no message of desired type")
    ENTRY(EIDRM, "identifier removed")
    ENTRY(ENOSTR, "device not a stream")
    ENTRY(ENODATA, "no data available")
    ENTRY(ETIME, "timer expired")
    ENTRY(ENOSR, "out of streams resources")
    ENTRY(EREMOTE, "object is remote")
    ENTRY(ENOLINK, "link has been severed")
    ENTRY(EMULTIHOP, "multihop attempted")
    ENTRY(EBADMSG, "bad message: a checksum or the like is wrong")
    ENTRY(EUSERS, "too many users")
    ENTRY(EPFNOSUPPORT, "protocol family not supported")
    ENTRY(ENETRESET, "network dropped connection on reset")
    ENTRY(ETOOMANYREFS, "too many references")
    ENTRY(EINPROGRESS, "operation now in progress")
    ENTRY(ESTALE, "stale file handle")
    ENTRY(EDQUOT, "disk quota exceeded")
    ENTRY(EOWNERDEAD, "owner died")
    ENTRY(ENOTRECOVERABLE, "state not recoverable")
#endif
#ifdef __linux__
    ENTRY(ECHRNG, "channel number out of range")
    ENTRY(EL2NSYNC, "level 2 not synchronized")
    ENTRY(EL3HLT, "level 3 halted")
    ENTRY(EL3RST, "level 3 reset")
    ENTRY(ELNRNG, "link number out of range")
    ENTRY(EUNATCH, "protocol driver not attached")
    ENTRY(ENOCSI, "no CSI structure available")
    ENTRY(EL2HLT, "level 2 halted")
    ENTRY(EBADE, "invalid exchange")
    ENTRY(EBADR, "invalid request descriptor")
    ENTRY(EXFULL, "exchange full")
    ENTRY(ENOANO, "no anode")
    ENTRY(EBADRQC, "invalid request code")
    ENTRY(EBADSLT, "invalid slot")
    ENTRY(EBFONT, "bad font file format")
    ENTRY(ENONET, "machine is not on the network")
    ENTRY(ENOPKG, "package not installed")
    ENTRY(EADV, "advertise error")
    ENTRY(ESRMNT, "srmount error")
    ENTRY(ECOMM, "communication error on send")
    ENTRY(EDOTDOT, "RFS specific error")
    ENTRY(ENOTUNIQ, "name not unique on network")
    ENTRY(EBADFD, "file descriptor in bad state")
    ENTRY(EREMCHG, "remote address changed")
    ENTRY(ELIBACC, "can not access a needed shared library")
    ENTRY(ELIBBAD, "accessing a corrupted shared library")
    ENTRY(ELIBSCN, ".lib section in a.out corrupted")
    ENTRY(ELIBMAX, "attempting to link in too many shared libraries")
    ENTRY(ELIBEXEC, "cannot exec a shared library directly")
    ENTRY(ERESTART, "interrupted system call should be restarted")
    ENTRY(ESTRPIPE, "streams pipe error")
    ENTRY(EUCLEAN, "structure needs cleaning: the filesystem is corrupted")
    ENTRY(ENOTNAM, "not a XENIX named type file")
    ENTRY(ENAVAIL, "no XENIX semaphores available")
    ENTRY(EISNAM, "is a named type file")
    ENTRY(EREMOTEIO, "remote I/O error")
    ENTRY(ENOMEDIUM, "no medium found")
    ENTRY(EMEDIUMTYPE, "wrong medium type")
    ENTRY(ENOKEY, "required key not available")
    ENTRY(EKEYEXPIRED, "key has expired")
    ENTRY(EKEYREVOKED, "key has been revoked")
    ENTRY(EKEYREJECTED, "key was rejected by service")
    ENTRY(ERFKILL, "operation not possible due to RF-kill")
    ENTRY(EHWPOISON, "memory page has hardware error")
#if defined(EDEADLOCK) && EDEADLOCK != EDEADLK
    ENTRY(EDEADLOCK, "file locking deadlock")
#endif
#endif
#ifdef __APPLE__
    ENTRY(EOPNOTSUPP, "operation not supported")
    ENTRY(EPROCLIM, "too many processes")
    ENTRY(EBADRPC, "RPC structure is bad")
    ENTRY(ERPCMISMATCH, "RPC version is wrong")
    ENTRY(EPROGUNAVAIL, "RPC program is not available")
    ENTRY(EPROGMISMATCH, "RPC program version is wrong")
    ENTRY(EPROCUNAVAIL, "bad procedure for program")
    ENTRY(EAUTH, "authentication error")
    ENTRY(ENEEDAUTH, "need authenticator")
    ENTRY(EPWROFF, "device power is off")
    ENTRY(EDEVERR, "device error")
    ENTRY(EBADEXEC, "bad executable")
    ENTRY(EBADARCH, "bad CPU type in executable")
    ENTRY(ESHLIBVERS, "shared library version mismatch")
    ENTRY(EBADMACHO, "malformed Mach-O file")
    ENTRY(ENOATTR, "attribute not found")
    ENTRY(ENOPOLICY, "no such policy registered")
    ENTRY(EQFULL, "interface output queue is full")
#endif
#undef ENTRY
    /* clang-format on */
};

#define SYSTEM_COUNT (sizeof(systems) / sizeof(systems[0]))

/* Where the code stands in the table; SYSTEM_COUNT where it does not. */
static size_t find_system(int error) {
  size_t i = 0;

  while (i < SYSTEM_COUNT && systems[i].error != error) {
    i++;
  }
  return i;
}

static const char* system_message(int error) {
  size_t i = find_system(error);
  return i < SYSTEM_COUNT ? systems[i].message : "unknown error";
}

static const char* system_name(int error) {
  size_t i = find_system(error);
  return i < SYSTEM_COUNT ? systems[i].name : "UNKNOWN";
}

const char* uvdio_strerror(int error) {
  switch (error) {
    case 0:
      return "no error";
    case UV_ENOTSUP:
      return "operation not supported"; /* libuv adds "on socket" */
#define CASE_OF(name, code, message) \
  case UVDIO_##name:                 \
    return message;
      UVDIO_ERRNO_MAP(CASE_OF)
#undef CASE_OF
    default:
      return is_libuv_code(error) ? uv_strerror(error) : system_message(error);
  }
}

const char* uvdio_err_name(int error) {
  switch (error) {
    case 0:
      return "OK";
#define CASE_OF(name, code, message) \
  case UVDIO_##name:                 \
    return #name;
      UVDIO_ERRNO_MAP(CASE_OF)
#undef CASE_OF
    default:
      return is_libuv_code(error) ? uv_err_name(error) : system_name(error);
  }
}

const char* uvdio_op_name(uvdio_op_t op) {
  switch (op) {
#define CASE_OF(name, text, kind) \
  case UVDIO_OP_##name:           \
    return text;
    UVDIO_OP_MAP(CASE_OF)
#undef CASE_OF
    case UVDIO_OP_NONE:
    case UVDIO_OP_COUNT:
      break;
  }
  return "none";
}

unsigned uvdio_version(void) {
  return UVDIO_VERSION_HEX;
}

#define TEXT_OF(number) #number
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

const char* uvdio_version_string(void) {
  return VERSION_TEXT(UVDIO_VERSION_MAJOR, UVDIO_VERSION_MINOR, UVDIO_VERSION_PATCH);
}

unsigned uvdio_liburing_version(void) {
#ifndef UVDIO_HAVE_RING
  return 0;
#elif defined(IO_URING_VERSION_MAJOR)
  return (unsigned)io_uring_major_version() << 16 | (unsigned)io_uring_minor_version() << 8;
#else /* 2.4 and later tell, and before 2.3 there is no io_uring backend */
  return 2u << 16 | 3u << 8;
#endif
}
