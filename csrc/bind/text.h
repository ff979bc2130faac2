// Paths between Python and C++. Python gives str with surrogate escapes (os.fsencode, os.fsdecode),
// bytes or a path-like object, and gets str, so that a name which is no UTF-8 survives. This serves
// all bindings that pass paths.
#pragma once

#include <string>
#include <vector>

#include "bind/bind.h"

namespace vmtpy::bind {

struct FsText {
  std::string value;
};
using FsTexts = std::vector<FsText>;

inline py::str to_text(const std::string& text) {
  PyObject* decoded =
      PyUnicode_DecodeFSDefaultAndSize(text.data(), static_cast<Py_ssize_t>(text.size()));
  if (decoded == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(decoded);
}

inline py::list to_texts(const std::vector<std::string>& texts) {
  py::list list;
  for (const std::string& text : texts) list.append(to_text(text));
  return list;
}

inline std::vector<std::string> plain(const FsTexts& texts) {
  std::vector<std::string> values;
  for (const FsText& text : texts) values.push_back(text.value);
  return values;
}

// Getters for members that hold paths, or texts with paths in them.
template <typename Class>
auto text(std::string Class::*member) {
  return [member](const Class& object) { return to_text(object.*member); };
}
template <typename Class>
auto texts(std::vector<std::string> Class::*member) {
  return [member](const Class& object) { return to_texts(object.*member); };
}

}  // namespace vmtpy::bind

namespace pybind11::detail {

template <>
struct type_caster<vmtpy::bind::FsText> {
  PYBIND11_TYPE_CASTER(vmtpy::bind::FsText, const_name("str"));

  bool load(handle source, bool) {
    PyObject* encoded = nullptr;
    if (PyUnicode_FSConverter(source.ptr(), &encoded) == 0) {
      PyErr_Clear();
      return false;
    }
    value.value.assign(PyBytes_AS_STRING(encoded),
                       static_cast<std::size_t>(PyBytes_GET_SIZE(encoded)));
    Py_DECREF(encoded);
    return true;
  }

  static handle cast(const vmtpy::bind::FsText& text, return_value_policy, handle) {
    return vmtpy::bind::to_text(text.value).release();
  }
};

}  // namespace pybind11::detail
