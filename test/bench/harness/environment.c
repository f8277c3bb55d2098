/* SPDX-License-Identifier: MIT */
/*
 * The machine and the versions, as JSON.
 */
#include <jansson.h>
#include <uv.h>

#include "harness/environment.h"
#include "uvdio.h"

static void add_processor(json_t* environment) {
  uv_cpu_info_t* processors;
  int count;
  if (uv_cpu_info(&processors, &count) == 0) {
    json_object_set_new(environment, "processor",
                        json_string(count > 0 ? processors[0].model : ""));
    json_object_set_new(environment, "processors", json_integer(count));
    uv_free_cpu_info(processors, count);
  }
}

json_t* json_environment(void) {
  uv_utsname_t system = {0};
  double load[3];
  (void)uv_os_uname(&system);
  uv_loadavg(load);
  json_t* json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:f}", "uvdio", uvdio_version_string(),
                           "libuv", uv_version_string(), "system", system.sysname, "kernel",
                           system.release, "machine", system.machine, "load", load[0]);
  add_processor(json);
  return json;
}
