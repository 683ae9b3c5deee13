#include "host/mm/charges.h"

namespace teeio::mm {
namespace {

constinit Charges* g_charges = nullptr;  // written while no task runs

}  // namespace

void set_charges(Charges* charges) { g_charges = charges; }
Charges* charges() { return g_charges; }

}  // namespace teeio::mm
