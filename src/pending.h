/* SPDX-License-Identifier: MIT */
/*
 * A look at all pending requests of an engine, wherever they are.
 */
#ifndef UVDIO_PENDING_H
#define UVDIO_PENDING_H

#include "engine.h"

/* Returns 1 for a request that is looked for. Leaves all lists as they are. */
typedef int (*uvdio__visit_t)(uvdio_req_t* req, void* arg);

/* The first request for which `visit` returns 1, or null. */
uvdio_req_t* uvdio__pending_visit(uvdio_engine_t* engine, uvdio__visit_t visit, void* arg);

/* What users are told of a request. */
void uvdio__pending_describe(const uvdio_req_t* req, uvdio_request_info_t* info);

#endif /* UVDIO_PENDING_H */
