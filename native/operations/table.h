// The operations of core/backend.h by name.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "operations/fields.h"

namespace bertune {

// Fills the operation's arguments from the fields; returns a function that runs the operation on them.
using Operation = std::function<std::function<void()>(Fields&)>;

// Throws NOT_FOUND.
const Operation& find_operation(const std::string& name);
std::vector<std::string> operation_names();

}  // namespace bertune
