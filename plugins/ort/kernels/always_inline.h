// For functions on several vectors at once, which travel through memory when they are called: a softplus that is called
// instead costs the scan a fifth of its time.
#pragma once

#define EDGEVISION_INLINE [[gnu::always_inline]] inline
