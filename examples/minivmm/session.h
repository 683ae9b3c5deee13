#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "device.h"
#include "options.h"
#include "vm.h"

struct kvm_user_vmgexit;

// One VM with one assigned function, from its creation to its end.
class Session {
 public:
  // `prefix` begins each printed line.
  Session(const Options& options, const Function& function, std::string prefix);

  // Up to the first instruction of the guest.
  void build();
  // Runs the guest until it has used the device privately, or has ended.
  void run_to_checkpoint();
  // Runs it to its end; gives whether it said that all went well.
  bool run_to_end();
  // Closes everything, in the order of the options.
  void close();

 private:
  // Steps of build().
  void create_vm();
  void give_memory();
  void load_guest();
  void load_snp_guest();
  void load_realm_guest();
  void write_board();

  // Slots of the BARs.
  enum class Sharing { kShared, kPrivate };
  void add_bar_slots(Sharing sharing);
  void remove_bar_slots();

  // Exits.
  enum class Next { kContinue, kCheckpoint, kEnd };
  Next run_once();
  Next on_io();
  void on_mmio();
  void on_hypercall();
  void on_memory_fault();
  void on_tdx();
  void on_vmgexit();
  void on_host_call();
  void on_device_mapping();
  Next on_port(std::uint64_t port, std::uint32_t value);
  std::uint64_t tdi_request(std::uint64_t request, std::uint64_t argument);
  int bring_evidence(bool fresh);
  // What an SNP guest asks for; give 0 or an errno.
  int snp_tdi_op(std::uint32_t action);
  int snp_message(kvm_user_vmgexit& exit);
  int bring_blobs(kvm_user_vmgexit& exit);
  // What a realm asks for; give a status of RHI.
  void keep_token();
  std::uint64_t do_realm_call(std::uint64_t call, std::uint64_t argument);
  std::uint64_t begin_realm_call(std::uint64_t call, std::uint64_t argument);
  std::uint64_t end_realm_call(bool go_on, std::uint64_t handle);
  std::uint64_t realm_tdi_state(std::uint64_t state);
  std::uint64_t measure_for_realm(std::uint64_t parameters_gpa);
  std::uint64_t fetch_report();
  std::uint64_t realm_object(std::uint64_t object, std::vector<unsigned char>*& bytes);
  std::uint64_t object_to_realm(std::uint64_t object, std::uint64_t offset, std::uint64_t size,
                                std::uint64_t gpa);
  void spoil(std::vector<unsigned char>& evidence) const;
  std::span<std::byte> shared_pages(std::uint64_t gpa, std::uint64_t size);
  static std::uint64_t bar_address(std::uint32_t index);
  void map_bar(std::uint32_t index);
  int bind();
  int lock();
  int unbind();
  void print_console(std::uint64_t length);

  const Options& options_;
  const std::string prefix_;
  const Function function_;
  std::optional<Vm> vm_;
  std::optional<Device> device_;
  Mapping ram_;
  Mapping reset_page_;
  Fd bar_files_[2];
  bool has_bar_slots_ = false;
  std::optional<std::uint32_t> exit_code_;
  struct RealmCall {
    std::uint64_t handle = 0;  // 0: none is begun
    std::uint64_t call = 0;
    std::uint64_t argument = 0;
  };
  RealmCall begun_;
  std::uint64_t last_handle_ = 0;
  std::vector<unsigned char> objects_[4];  // of a realm's device, by RHI's numbers
};
