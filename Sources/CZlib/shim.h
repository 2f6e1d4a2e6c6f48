// zlib's public header, from Debian's zlib1g-dev.
#include <zlib.h>
