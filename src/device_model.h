/* SPDX-License-Identifier: MIT */
/*
 * Device models (uvdio/class.h), by themselves: knows no engine.
 */
#ifndef UVDIO_DEVICE_MODEL_H
#define UVDIO_DEVICE_MODEL_H

#include "uvdio/class.h"

/* Whether a device model says all that there is to say. */
int uvdio__device_model_is_whole(const uvdio_device_model_t* model);

#endif /* UVDIO_DEVICE_MODEL_H */
