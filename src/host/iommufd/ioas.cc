#include "host/iommufd/ioas.h"

namespace teeio::iommufd {

void Ioas::destroy() { (void)iopt.unmap(0, IoPagetable::kLastIova); }

}  // namespace teeio::iommufd
