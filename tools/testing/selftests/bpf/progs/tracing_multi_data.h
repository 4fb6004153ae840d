/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __TRACING_MULTI_DATA_H
#define __TRACING_MULTI_DATA_H

/* What the tests keep of each function */
struct func_data {
	__u64 calls;
	/* the function's address or its cookie, or nothing: the program decides */
	__u64 who;
};

#endif /* __TRACING_MULTI_DATA_H */
