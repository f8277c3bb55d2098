/* SPDX-License-Identifier: MIT */
/*
 * CRC-32C (Castagnoli; RFC 3720, B.4). By ISA-L where the build has found it, which takes the
 * processor's instructions; else by tables.
 */
#ifndef UVDIO_LOG_CRC32C_H
#define UVDIO_LOG_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t uvdio__log_crc32c(const void* bytes, size_t length);

#endif /* UVDIO_LOG_CRC32C_H */
