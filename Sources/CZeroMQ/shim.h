#ifndef TOMBOLA_CZEROMQ_SHIM_H
#define TOMBOLA_CZEROMQ_SHIM_H
#include <zmq.h>
#endif
