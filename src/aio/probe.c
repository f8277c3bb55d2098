/* SPDX-License-Identifier: MIT */
/*
 * Whether kernel AIO works here: found out by use, not by a version. One request has to come back
 * and to signal its eventfd.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "aio/aio.h"

void uvdio__aio_explain(int error, const char* call, char* reason, size_t size) {
  struct utsname kernel;
  const char* release = uname(&kernel) == 0 ? kernel.release : "unknown";

  switch (error) {
    case UV_ENOSYS:
      (void)snprintf(
          reason, size,
          "%s is not there (ENOSYS): Linux %s was built without kernel AIO, or a seccomp "
          "filter hides it",
          call, release);
      break;
    case UV_EPERM:
    case UV_EACCES:
      (void)snprintf(reason, size,
                     "%s is denied (%s): allow io_setup, io_submit, io_getevents and io_destroy in "
                     "the container's seccomp profile",
                     call, uv_err_name(error));
      break;
    case UV_EAGAIN:
      (void)snprintf(reason, size,
                     "%s finds no room (EAGAIN): the machine's requests of kernel AIO are all "
                     "taken, see the sysctls fs.aio-nr and fs.aio-max-nr; raise the latter",
                     call);
      break;
    case UV_EMFILE:
    case UV_ENFILE:
      (void)snprintf(
          reason, size,
          "%s found no free file descriptor (%s): raise the limit on open files (ulimit -n)", call,
          uv_err_name(error));
      break;
    default:
      (void)snprintf(reason, size, "%s failed with %s on Linux %s (kernel AIO takes 4.19 or later)",
                     call, uv_err_name(error), release);
  }
}

/* Has the kernel tell that the eventfd is writable, which it is. */
static int ask_if_writable(aio_context_t context, int event, const char** call) {
  struct pollfd watched = {.fd = event, .events = POLLIN};
  struct io_event done;
  struct iocb block;
  struct iocb* list = &block;
  uint64_t calls = 0;
  int result;

  memset(&block, 0, sizeof(block));
  block.aio_lio_opcode = IOCB_CMD_POLL;
  block.aio_fildes = (uint32_t)event;
  block.aio_buf = POLLOUT;
  block.aio_flags = IOCB_FLAG_RESFD;
  block.aio_resfd = (uint32_t)event;
  *call = "io_submit";
  result = uvdio__aio_submit(context, &list, 1);
  if (result != 1) {
    return result < 0 ? uv_translate_sys_error(-result) : UV_EAGAIN;
  }
  *call = "io_getevents";
  result = uvdio__aio_take(context, &done, 1, &calls);
  if (result != 1) {
    return result < 0 ? uv_translate_sys_error(-result) : UV_EIO;
  }
  *call = "the eventfd of kernel AIO";
  return poll(&watched, 1, 0) == 1 ? 0 : UV_EIO;
}

int uvdio__aio_round_trip(aio_context_t context, const char** call) {
  int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  int error;

  *call = "eventfd";
  if (event == -1) {
    return uv_translate_sys_error(errno);
  }
  error = ask_if_writable(context, event, call);
  (void)close(event);
  return error;
}

int uvdio__aio_probe(char* reason, size_t size) {
  const char* call = "io_setup";
  aio_context_t context;
  int error = uvdio__aio_setup(1, &context);

  error = error == 0 ? 0 : uv_translate_sys_error(-error);
  if (error == 0) {
    error = uvdio__aio_round_trip(context, &call);
    uvdio__aio_destroy(context);
  }
  if (error != 0) {
    uvdio__aio_explain(error, call, reason, size);
    return error;
  }
  (void)snprintf(reason, size, "kernel AIO works here");
  return 0;
}
