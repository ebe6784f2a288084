#include <elf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

#include "core/library_file.h"

namespace bertune {

bool is_whole_library(int file) {
  struct stat status;
  Elf64_Ehdr header;
  return fstat(file, &status) == 0 && read(file, &header, sizeof header) == static_cast<ssize_t>(sizeof header) &&
         std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_ident[EI_CLASS] == ELFCLASS64 &&
         header.e_type == ET_DYN &&
         header.e_shoff + static_cast<uint64_t>(header.e_shnum) * header.e_shentsize <=
             static_cast<uint64_t>(status.st_size);
}

}  // namespace bertune
