// What PyTorch asks of a backend before it believes in a device: a guard, for streams and threads, and hooks.
// Which device is asked for is said by STYLOSCOPE_STAND_IN, cuda or mps; there is one of it, and it does nothing.

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/detail/MPSHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <cstdlib>
#include <string>

namespace {

bool asked(const char* name) {
  const char* word = std::getenv("STYLOSCOPE_STAND_IN");
  return word != nullptr && std::string(word) == name;
}

struct Guard final : public c10::impl::DeviceGuardImplInterface {
  explicit Guard(c10::DeviceType type) : type_(type) {}
  c10::DeviceType type() const override { return type_; }
  c10::Device exchangeDevice(c10::Device) const override { return getDevice(); }
  c10::Device getDevice() const override { return {type_, 0}; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device) const override {
    return c10::Stream(c10::Stream::DEFAULT, getDevice());
  }
  c10::Stream getNewStream(c10::Device device, int) const override { return getStream(device); }
  c10::Stream exchangeStream(c10::Stream stream) const override { return stream; }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  void record(void**, const c10::Stream&, const c10::DeviceIndex, const c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void destroyEvent(void*, const c10::DeviceIndex) const noexcept override {}
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}

 private:
  c10::DeviceType type_;
};

// The same answers for both kinds of hooks.
template <typename Interface>
struct Hooks : public Interface {
  void init() const override {}
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(at::DeviceIndex) const override { return true; }
  at::DeviceIndex deviceCount() const override { return 1; }
  at::DeviceIndex getCurrentDevice() const override { return 0; }
  void setCurrentDevice(at::DeviceIndex) const override {}
  at::DeviceIndex exchangeDevice(at::DeviceIndex) const override { return 0; }
  at::DeviceIndex maybeExchangeDevice(at::DeviceIndex) const override { return 0; }
  at::Generator getNewGenerator(at::DeviceIndex) const override { return at::detail::createCPUGenerator(); }
  const at::Generator& getDefaultGenerator(at::DeviceIndex) const override {
    static at::Generator generator = at::detail::createCPUGenerator();
    return generator;
  }
};

struct Cuda final : public Hooks<at::CUDAHooksInterface> {
  bool hasCUDA() const override { return true; }
  int getNumGPUs() const override { return 1; }
  at::DeviceIndex current_device() const override { return 0; }
};

struct Mps final : public Hooks<at::MPSHooksInterface> {
  bool hasMPS() const override { return true; }
};

std::unique_ptr<at::CUDAHooksInterface> cuda(at::CUDAHooksArgs) { return std::make_unique<Cuda>(); }
std::unique_ptr<at::MPSHooksInterface> mps() { return std::make_unique<Mps>(); }

bool enlisted = [] {
  if (asked("cuda")) {
    at::CUDAHooksRegistry()->Register("CUDAHooks", cuda);
    c10::impl::registerDeviceGuard(c10::DeviceType::CUDA, new Guard(c10::DeviceType::CUDA));
  }
  if (asked("mps")) {
    at::MPSHooksRegistry()->Register("MPSHooks", mps);
    c10::impl::registerDeviceGuard(c10::DeviceType::MPS, new Guard(c10::DeviceType::MPS));
  }
  return true;
}();

}  // namespace
