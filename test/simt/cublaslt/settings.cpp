#include "settings.h"

#include <cstdio>
#include <cstdlib>
#include <sstream>

namespace stand_in {

Settings read_settings() {
  Settings settings;
  const char* text = std::getenv("BERTUNE_EMULATED_CUBLASLT");
  std::istringstream words(text ? text : "");
  for (std::string word; words >> word;) {
    const size_t sign = word.find('=');
    const std::string name = word.substr(0, sign), value = sign == std::string::npos ? "" : word.substr(sign + 1);
    if (name == "algorithms") {
      settings.algorithms = std::stoi(value);
    } else if (name == "refuse") {
      settings.refuse = std::stoi(value);
    } else if (name == "workspace") {
      settings.workspace = std::stoull(value);
    } else if (name == "noise") {
      settings.noise = std::stod(value);
    } else if (name == "faster") {
      settings.faster = std::stod(value);
    } else if (name == "seed") {
      settings.seed = static_cast<unsigned>(std::stoul(value));
    } else if (name == "computes") {
      settings.computes = value != "0";
    } else if (name == "fails") {
      settings.fails = value;
    } else {
      std::fprintf(stderr, "BERTUNE_EMULATED_CUBLASLT: expected a setting but received %s\n", word.c_str());
      std::abort();
    }
  }
  return settings;
}

}  // namespace stand_in
