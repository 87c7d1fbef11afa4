// Memory bandwidth: copies between two buffers, each thread its part.
#pragma once

namespace edgevision {

// Copies `mebibytes` and prints one event a round: {"event":"copy","bytes":N,"ns":N}, bytes read and written counted.
void MeasureCopy(int mebibytes, int threads);

}  // namespace edgevision
