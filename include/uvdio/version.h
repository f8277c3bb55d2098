/* SPDX-License-Identifier: MIT */
/**
 * @file uvdio/version.h
 * The library's version. It stands here and nowhere else: CMake reads it from here.
 */
#ifndef UVDIO_VERSION_H
#define UVDIO_VERSION_H

/** The first number. */
#define UVDIO_VERSION_MAJOR 0
/** The second one. */
#define UVDIO_VERSION_MINOR 2
/** The third one. */
#define UVDIO_VERSION_PATCH 0

/** Comparable as one number: 0x010203 is 1.2.3. */
#define UVDIO_VERSION_HEX \
  ((UVDIO_VERSION_MAJOR << 16) | (UVDIO_VERSION_MINOR << 8) | UVDIO_VERSION_PATCH)

#endif /* UVDIO_VERSION_H */
