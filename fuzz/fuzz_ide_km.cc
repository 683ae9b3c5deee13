#include "fuzzer.h"
#include "wire/ide_km.h"
#include "wire/ide_registers.h"

void teeio::fuzz::run(ByteView input) {
  const auto message = wire::decode_ide_km(input);
  if (!message) return;
  const auto* key_prog = std::get_if<wire::IdeKmKeyProg>(&*message);
  if (key_prog && !key_prog->key) return;  // has no encoding
  const auto back = wire::decode_ide_km(wire::encode_ide_km(*message));
  TEEIO_CHECK(back && *back == *message, "an IDE_KM message does not come back");
  const auto* response = std::get_if<wire::IdeKmQueryResp>(&*message);
  if (!response) return;
  const auto registers = wire::IdeRegisters::decode(response->registers);
  if (!registers) return;
  const auto registers_back = wire::IdeRegisters::decode(registers->encode());
  TEEIO_CHECK(registers_back && registers_back->streams == registers->streams,
              "IDE registers do not come back");
}
