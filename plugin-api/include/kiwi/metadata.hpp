// The records that a host reads from the file before it opens it: written at compile time into a section of their own.
//
// A record is `KIWIPLUG`, the format's version and the length of what follows (32 bits each, little-endian), then for each field the
// lengths of key and value (32 bits each), key, value.
#pragma once

#include <torch/version.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#define KIWI_DETAIL_TEXT_OF(x) #x
#define KIWI_DETAIL_TEXT(x) KIWI_DETAIL_TEXT_OF(x)
#define KIWI_DETAIL_TORCH_VERSION       \
  KIWI_DETAIL_TEXT(TORCH_VERSION_MAJOR) \
  "." KIWI_DETAIL_TEXT(TORCH_VERSION_MINOR) "." KIWI_DETAIL_TEXT(TORCH_VERSION_PATCH)

#if defined(__clang__)
#define KIWI_DETAIL_COMPILER __VERSION__
#elif defined(__GNUC__)
#define KIWI_DETAIL_COMPILER "g++ " __VERSION__
#else
#error "kiwi_plugin.hpp knows g++ and clang++ only"
#endif

#if !defined(__linux__) || !defined(__GLIBC__)
#error "kiwi_plugin.hpp knows Linux with glibc only"
#elif defined(__x86_64__)
#define KIWI_DETAIL_TARGET "x86_64-unknown-linux-gnu"
#elif defined(__aarch64__)
#define KIWI_DETAIL_TARGET "aarch64-unknown-linux-gnu"
#else
#error "kiwi_plugin.hpp knows x86_64 and aarch64 only"
#endif

// Without this attribute a linker that collects unused sections may drop the records.
#if defined(__has_attribute)
#if __has_attribute(retain)
#define KIWI_DETAIL_RETAIN , retain
#endif
#endif
#if !defined(KIWI_DETAIL_RETAIN)
#define KIWI_DETAIL_RETAIN
#endif

namespace kiwi {
namespace detail __attribute__((visibility("hidden"))) {

struct MetadataField {
  std::string_view key;
  std::string_view value;
};

constexpr std::size_t metadata_header = 16;

template <std::size_t Count>
constexpr std::size_t encoded_length(const MetadataField (&fields)[Count]) {
  std::size_t length = metadata_header;
  for (const auto& field : fields) {
    length += 8 + field.key.size() + field.value.size();
  }
  return length;
}

template <std::size_t Length>
struct MetadataWriter {
  std::array<unsigned char, Length> bytes{};
  std::size_t at = 0;

  constexpr void put(std::string_view text) {
    for (const char byte : text) {
      bytes[at++] = static_cast<unsigned char>(byte);
    }
  }

  constexpr void put(std::size_t number) {
    for (int shift = 0; shift < 32; shift += 8) {
      bytes[at++] = static_cast<unsigned char>((number >> shift) & 0xff);
    }
  }
};

template <std::size_t Length, std::size_t Count>
constexpr std::array<unsigned char, Length> encode(const MetadataField (&fields)[Count]) {
  MetadataWriter<Length> writer;
  writer.put(std::string_view("KIWIPLUG"));
  writer.put(std::size_t{1});
  writer.put(Length - metadata_header);
  for (const auto& field : fields) {
    writer.put(field.key.size());
    writer.put(field.value.size());
    writer.put(field.key);
    writer.put(field.value);
  }
  return writer.bytes;
}

} // namespace detail
} // namespace kiwi

#define KIWI_DETAIL_RECORD(name, ...)                                                                   \
  namespace {                                                                                           \
  constexpr ::kiwi::detail::MetadataField name##_fields[] = {__VA_ARGS__};                              \
  __attribute__((section(".kiwi_plugin"), used KIWI_DETAIL_RETAIN)) constexpr auto name =               \
      ::kiwi::detail::encode<::kiwi::detail::encoded_length(name##_fields)>(name##_fields);             \
  }
