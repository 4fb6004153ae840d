// SPDX-License-Identifier: GPL-2.0-only
/* Thunks do not call functions: they are in no stack trace. */
#include "test.h"

static void test_unwind(void)
{
}
