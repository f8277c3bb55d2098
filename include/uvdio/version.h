/* The library's version. One place: CMake reads it from here. */
#ifndef UVDIO_VERSION_H
#define UVDIO_VERSION_H

#define UVDIO_VERSION_MAJOR 0
#define UVDIO_VERSION_MINOR 2
#define UVDIO_VERSION_PATCH 0

/* Comparable as one number: 0x010203 is 1.2.3. */
#define UVDIO_VERSION_HEX \
  ((UVDIO_VERSION_MAJOR << 16) | (UVDIO_VERSION_MINOR << 8) | UVDIO_VERSION_PATCH)

#endif /* UVDIO_VERSION_H */
