#include "base/result.h"

namespace teeio {

std::string_view errno_name(Errno code) {
  switch (code) {
    case Errno::kPerm:
      return "EPERM";
    case Errno::kNoEnt:
      return "ENOENT";
    case Errno::kIntr:
      return "EINTR";
    case Errno::kIo:
      return "EIO";
    case Errno::kNxio:
      return "ENXIO";
    case Errno::kTooBig:
      return "E2BIG";
    case Errno::kBadF:
      return "EBADF";
    case Errno::kAgain:
      return "EAGAIN";
    case Errno::kNoMem:
      return "ENOMEM";
    case Errno::kAcces:
      return "EACCES";
    case Errno::kFault:
      return "EFAULT";
    case Errno::kBusy:
      return "EBUSY";
    case Errno::kExist:
      return "EEXIST";
    case Errno::kXDev:
      return "EXDEV";
    case Errno::kNoDev:
      return "ENODEV";
    case Errno::kNotDir:
      return "ENOTDIR";
    case Errno::kIsDir:
      return "EISDIR";
    case Errno::kInval:
      return "EINVAL";
    case Errno::kNFile:
      return "ENFILE";
    case Errno::kMFile:
      return "EMFILE";
    case Errno::kNoTty:
      return "ENOTTY";
    case Errno::kFBig:
      return "EFBIG";
    case Errno::kNoSpc:
      return "ENOSPC";
    case Errno::kSPipe:
      return "ESPIPE";
    case Errno::kRoFs:
      return "EROFS";
    case Errno::kDom:
      return "EDOM";
    case Errno::kRange:
      return "ERANGE";
    case Errno::kNameTooLong:
      return "ENAMETOOLONG";
    case Errno::kNoSys:
      return "ENOSYS";
    case Errno::kLoop:
      return "ELOOP";
    case Errno::kNoData:
      return "ENODATA";
    case Errno::kOverflow:
      return "EOVERFLOW";
    case Errno::kBadFd:
      return "EBADFD";
    case Errno::kMsgSize:
      return "EMSGSIZE";
    case Errno::kOpNotSupp:
      return "EOPNOTSUPP";
    case Errno::kAddrInUse:
      return "EADDRINUSE";
    case Errno::kTimedOut:
      return "ETIMEDOUT";
    case Errno::kAlready:
      return "EALREADY";
    case Errno::kHwPoison:
      return "EHWPOISON";
    case Errno::kRestart:
      return "ERESTARTSYS";
  }
  return "E?";
}

}  // namespace teeio
