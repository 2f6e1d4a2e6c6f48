#ifndef TOMBOLA_CZEROMQ_SHIM_H
#define TOMBOLA_CZEROMQ_SHIM_H
#include <zmq.h>

// Every 4.3 obeys it, and its header hides it from those who do not ask for drafts.
#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN 93
#endif
#endif
