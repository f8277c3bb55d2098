/* SPDX-License-Identifier: MIT */
/*
 * Media types by the ending of a name. What is not in the table is bytes.
 */
#ifndef HTTPD_TYPES_H
#define HTTPD_TYPES_H

/* Never null. */
const char* httpd_type_of(const char* path);

#endif
