
#include "firmware/rmm/command.h"

// A REC whose realm's code runs: TF-RMM runtime/rmi/run.c, runtime/core/exit.c. The realm
// is entered by rec_enter(); what it does then comes back by realm_call() and rec_exit().

namespace teeio::rmm {
namespace {

constexpr std::uint64_t kSmcBytes = 4;
constexpr std::uint64_t kInjectSea = 1U << 1U;              // REC_ENTRY_FLAG_INJECT_SEA
constexpr std::uint64_t kNotSupported = ~std::uint64_t{0};  // SMCCC

/// SMC 0xC4000190 + n.
constexpr std::uint64_t kFirstCall = 0xc400'0190;
constexpr std::uint64_t kSmccc1_2 = 0x1'0002;

/// SMC32_PSCI_FID_MIN to SMC64_PSCI_FID_MAX.
bool is_psci(std::uint64_t number) { return ((number & ~kPsci64Bits) - kPsciVersion) < 0x20; }

/// ESR_EL2 of an abort in stage 2 as the host reads it. Source: Arm ARM (DDI 0487), D24.2.41.
constexpr std::uint64_t kDataAbort = 0x24ULL << 26U, kInstructionAbort = 0x20ULL << 26U;

/// Translation fault at `level`: where the realm's table has no way on.
std::uint64_t translation_fault(std::uint8_t level) {
  constexpr std::uint64_t kLevel0 = 4;
  return kLevel0 + level;
}

constexpr std::uint64_t kIsv = 1ULL << 24U, kIl = 1ULL << 25U, kExternal = 1ULL << 9U;
constexpr std::uint64_t kClass = 0x3fULL << 26U, kStatus = 0x3f;
// ESR_NONEMULATED_ABORT_MASK and ESR_EMULATED_ABORT_MASK.
constexpr std::uint64_t kNotEmulated = kClass | 0x3ULL << 11U | 1U << 10U | kExternal | kStatus;
constexpr std::uint64_t kEmulated = kNotEmulated | kIsv | 3ULL << 22U | 1U << 15U | 1U << 6U;

/// ESR_EL2 as the hardware would have it. Of an access that the engine has to repeat, and of
/// none that the host may emulate, it is not known what it was: no ISV.
std::uint64_t syndrome(const hw::CpuExit& why, std::uint8_t level) {
  constexpr std::uint64_t kSf = 1ULL << 15U, kWnr = 1ULL << 6U;
  constexpr unsigned kSize = 22;
  const std::uint64_t fault = translation_fault(level) | kIl;
  if (why.access == hw::GuestAccess::kFetch) return kInstructionAbort | fault;
  const std::uint64_t esr = kDataAbort | fault | (why.write ? kWnr : 0);
  if (why.reason != hw::CpuExit::Reason::kMmio || raw(why.gpa) < Rtt::kProtected) return esr;
  const unsigned log2 = why.size >= 8 ? 3 : why.size >= 4 ? 2 : why.size >= 2 ? 1 : 0;
  return esr | kIsv | std::uint64_t{log2} << kSize | (log2 == 3 ? kSf : 0);
}

/// What the host sees of it: handle_data_abort() and handle_instruction_abort() of
/// runtime/core/exit.c.
std::uint64_t shown(std::uint64_t esr, Gpa address) {
  if ((esr & kIsv) != 0) return esr & kEmulated;
  const bool data = (esr & kClass) == kDataAbort;
  return esr & (data && raw(address) >= Rtt::kProtected ? kNotEmulated | kIl : kNotEmulated);
}

/// calc_esr_idabort(), as far as the level from which the abort comes does not matter.
std::uint64_t external_abort(std::uint64_t esr) {
  constexpr std::uint64_t kFnv = 1U << 10U, kS1Ptw = 1U << 7U, kSea = 0x10;
  return (esr & ~(kStatus | kFnv | kS1Ptw)) | kSea | kExternal;
}

/// HPFAR_EL2.FIPA: bits 51:12 of the address.
std::uint64_t fault_page(Gpa ipa) { return raw(ipa) >> kPageShift << 4U; }

}  // namespace

RmiResult Rmm::rec_enter(Hpa at, Hpa run, hw::ArmRegisters& registers,
                         hw::ArmExceptions* exceptions) {
  Command c(*this, row::kRecEnter);
  if (!c.begin()) return c.result();
  const Bytes page = c.page(run, "run");
  if (page.empty()) return c.result();
  RMM_FIND(rec, c.rec(at));
  RMM_REFUSE_IF(rec->running, "running");
  RMM_REFUSE_IF(realm_of(*rec).state != RealmState::kActive, "state");
  RMM_REFUSE_IF(!rec->runnable, "runnable");
  RMM_REFUSE_IF(rec->pending == Rec::Pending::kPsciComplete, "psci");
  const RecEnter entered = RecEnter::decode(page);
  // complete_sea_insertion(), and complete_mmio_emulation(), which leaves it at that.
  const bool sea = (entered.flags & kInjectSea) != 0;
  const bool data = (rec->abort_syndrome & kClass) == kDataAbort;
  RMM_REFUSE_IF(sea && !(data && raw(rec->abort_address) >= Rtt::kProtected), "sea");
  RMM_REFUSE_IF(
      !sea && (entered.flags & kEmulatedMmio) != 0 && !(data && (rec->abort_syndrome & kIsv) != 0),
      "mmio");
  if (sea && exceptions != nullptr)
    registers =
        exceptions->take_abort(external_abort(rec->abort_syndrome), raw(rec->abort_address));
  if (!std::exchange(rec->entered, true)) registers = rec->first;
  if (const auto start = std::exchange(rec->start, std::nullopt)) {
    registers.pc = start->pc;
    registers.x[0] = start->context;
  }
  RecExit exit = RecExit::kSync;
  if (complete_host_call(*rec, entered, registers)) exit = resume(*rec, entered.flags, &registers);
  if (exit == RecExit::kRealm) {
    rec->running = true;
    rec->abort_syndrome = 0;  // reset_last_run_info()
  } else {
    write_exit(*rec, run, exit);
  }
  return {.x1 = static_cast<std::uint64_t>(exit), .x2 = rec->vdev_id};
}

/// complete_rsi_host_call(). False: the realm's page has gone meanwhile. With one that the realm
/// itself has made EMPTY the source says that it returns RSI_SUCCESS, and sets no register.
bool Rmm::complete_host_call(Rec& rec, const RecEnter& entered, hw::ArmRegisters& registers) {
  if (!rec.host_call) return true;
  constexpr std::uint64_t kRegisters = 8;
  const auto place = place_of(realm_of(rec), page_of(*rec.host_call));
  if (!place && place.error() == NoPlace::kUnmapped) {
    rec.abort_at = page_of(*rec.host_call);
    return false;
  }
  const bool written = write_realm(rec.rd, *rec.host_call + kRegisters, bytes_of(entered.gprs));
  if (written || !defective()) registers.x[0] = 0;
  rec.host_call.reset();
  return true;
}

std::uint8_t Rmm::level_of(const Rec& rec, Gpa ipa) const {
  return realm_of(rec).rtt.walk(ipa, kPageLevel).level;
}

void Rmm::write_exit(const Rec& rec, Hpa run, RecExit reason) {
  mutex_.assert_held();
  RecExitRecord record{.reason = reason};
  switch (reason) {
    case RecExit::kSync:
      // emulate_stage2_data_abort().
      record.esr = kDataAbort | translation_fault(level_of(rec, rec.abort_at));
      record.hpfar = fault_page(rec.abort_at);
      break;
    case RecExit::kRipasChange:
      record.base = raw(rec.set_ripas.base);
      record.top = raw(rec.set_ripas.top);
      record.ripas = static_cast<std::uint8_t>(rec.set_ripas.wanted);
      break;
    case RecExit::kHostCall: {
      constexpr std::uint64_t kRegisters = 8;
      const auto at = realm_ram(rec.rd, *rec.host_call);
      if (!at) break;
      (void)memory_.read(*at, writable_bytes_of(record.imm), kRealmWorld);
      (void)memory_.read(*at + kRegisters, writable_bytes_of(record.gprs), kRealmWorld);
      break;
    }
    case RecExit::kVdevRequest:
      record.vdev_id = rec.vdev_id;
      break;
    case RecExit::kDevMemMap:
      record.vdev_id = rec.vdev_id;
      record.base = raw(rec.dev_mem.base);
      record.top = raw(rec.dev_mem.top);
      record.pa = raw(rec.dev_mem.pa);
      break;
    case RecExit::kPsci:
      std::copy_n(rec.psci.begin(), rec.psci_shown, record.gprs.begin());
      break;
    case RecExit::kIrq:
    case RecExit::kRealm:
      break;
  }
  (void)memory_.write(run + RecExitRecord::kOffset, record.encode());
}

void Rmm::rec_exit(Hpa at, Hpa run, const hw::CpuExit& why) {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  const auto found = recs_.find(raw(at));
  if (found == recs_.end()) return;
  Rec& rec = found->second;
  rec.running = false;
  const bool abort =
      why.reason == hw::CpuExit::Reason::kFault || why.reason == hw::CpuExit::Reason::kMmio;
  if (!abort) return write_exit(rec, run, RecExit::kIrq);
  rec.abort_syndrome = syndrome(why, level_of(rec, why.gpa));
  rec.abort_address = why.gpa;
  // Only an access outside of the protected space shows what it was.
  const bool emulatable = (rec.abort_syndrome & kIsv) != 0;
  RecExitRecord record{.reason = RecExit::kSync};
  record.esr = shown(rec.abort_syndrome, why.gpa);
  record.hpfar = fault_page(why.gpa);
  if (emulatable) record.far = offset_in_page(why.gpa);
  if (emulatable && why.write) record.gprs[0] = why.data;
  (void)memory_.write(run + RecExitRecord::kOffset, record.encode());
}

/// handle_rsi_measurement_read(). What is behind a short measurement is zero in the source's
/// registers, but handle_realm_rsi() writes x5 to x7 over with what they were.
void Rmm::tell(HashAlgorithm algorithm, const MeasurementWords& words,
               std::array<std::uint64_t, 31>& x) const {
  const std::size_t used = crypto::hash_size(crypto_hash(algorithm)) / sizeof(std::uint64_t);
  constexpr std::size_t kResults = 8;  // SMC_RESULT_REGS
  for (std::size_t i = 0; i < words.size(); ++i)
    if (i < used || i + 1 == kResults || !defective()) x[i + 1] = words[i];
}

/// handle_psci(), from handle_realm_rsi().
bool Rmm::power_call(Hpa at, Hpa run, hw::ArmRegisters& registers, std::uint64_t number) {
  auto& x = registers.x;
  const PsciResult result = psci(at, {number, x[1], x[2], x[3]});
  if (!result.pending) std::ranges::copy(PsciCall{result.x0}, x.begin());
  if (!result.leaves) return true;
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  Rec& rec = calling(at);
  rec.running = false;
  write_exit(rec, run, RecExit::kPsci);
  return false;
}

/// handle_realm_rsi(). The call's results go to x0 and the registers behind it.
bool Rmm::realm_call(Hpa at, Hpa run, hw::ArmRegisters& registers) {
  auto& x = registers.x;
  constexpr std::uint64_t kSveHint = 1U << 16U;  // of SMCCC: no part of the number
  constexpr std::uint64_t kMeasurementRead = kFirstCall + 0x02;
  constexpr std::uint64_t kGetInfo = kFirstCall + 0x0d;
  const std::uint64_t number = x[0] & 0xffff'ffffU & ~kSveHint;
  if (is_psci(number)) return power_call(at, run, registers, x[0]);
  std::uint64_t results = 1;  // registers that the call sets
  RsiResult result;
  MeasurementWords words{};
  RecExit leaves = RecExit::kRealm;
  switch (number - kFirstCall) {
    case 0x00:
      result = rsi_version(at, x[1]);
      results = 3;
      break;
    case 0x01:
      result = rsi_features(at, x[1]);
      results = 2;
      break;
    case 0x02:
      result = rsi_measurement_read(at, x[1], words);
      break;
    case 0x03:
      std::copy_n(x.begin() + 3, words.size(), words.begin());
      result = rsi_measurement_extend(at, x[1], x[2], words);
      break;
    case 0x04:
      std::copy_n(x.begin() + 1, words.size(), words.begin());
      result = rsi_attest_token_init(at, words);
      results = 2;
      break;
    case 0x05:
      result = rsi_attest_token_continue(at, Gpa{x[1]}, x[2], x[3]);
      results = 2;
      break;
    case 0x06:
      result = rsi_realm_config(at, Gpa{x[1]});
      break;
    case 0x07:
      // enum ripas and enum ripas_change_destroyed have 32 bits.
      result = rsi_ipa_state_set(at, Gpa{x[1]}, Gpa{x[2]}, x[3] & 0xffff'ffffU,
                                 (x[4] & 0xffff'ffffU) == 1);
      leaves = RecExit::kRipasChange;
      break;
    case 0x08:
      result = rsi_ipa_state_get(at, Gpa{x[1]}, Gpa{x[2]});
      results = 3;
      break;
    case 0x09:
      result = rsi_host_call(at, Gpa{x[1]});
      leaves = RecExit::kHostCall;
      break;
    case 0x0c:
      result = rsi_vdev_dma_enable(at, x[1], {.lock = x[4], .measurements = x[5], .report = x[6]});
      leaves = RecExit::kVdevRequest;
      break;
    case 0x0d:
      result = rsi_vdev_get_info(at, x[1], x[2]);
      leaves = RecExit::kVdevRequest;
      break;
    case 0x0f:
      result = rsi_vdev_validate_mapping(
          at, {.vdev_id = x[1],
               .base = Gpa{x[2]},
               .top = Gpa{x[3]},
               .pa = Hpa{x[4]},
               .nonces = {.lock = x[6], .measurements = x[7], .report = x[8]}});
      leaves = RecExit::kVdevRequest;
      break;
    case 0x14:
      result = rsi_vdev_dma_disable(at, x[1]);
      leaves = RecExit::kVdevRequest;
      break;
    default:
      x[0] = number == kSmcccVersion ? kSmccc1_2 : kNotSupported;
      x[1] = x[2] = x[3] = 0;
      return true;
  }
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  Rec& rec = calling(at);
  if (result.code == RsiCode::kAbort) {
    // The instruction is tried again when the host has brought the page.
    registers.pc -= kSmcBytes;
    rec.abort_at = Gpa{result.x1};
    leaves = RecExit::kSync;
  } else if (result.code != RsiCode::kIncomplete || leaves == RecExit::kRealm) {
    x[0] = static_cast<std::uint64_t>(result.code);
    x[1] = results > 1 ? result.x1 : 0;
    x[2] = results > 2 ? result.x2 : 0;
    x[3] = 0;
    if (number == kMeasurementRead && result.code == RsiCode::kSuccess)
      tell(realm_of(rec).measurements.algorithm(), words, x);
    return true;
  } else if (number == kGetInfo) {
    rec.info_at = Gpa{x[2]};
  }
  rec.running = false;
  write_exit(rec, run, leaves);
  return false;
}

}  // namespace teeio::rmm
