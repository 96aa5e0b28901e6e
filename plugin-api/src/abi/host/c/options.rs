//! The options of a component in plain C: checked by its JSON Schema, then by itself, and read by path.

use std::sync::OnceLock;

use serde_json::Value;

#[cfg(feature = "host")]
use super::call::call;
use super::lend;
use super::open::Component;
use crate::ConfigReport;
use crate::abi::c::host::{
    KIWI_OPTION_ARRAY, KIWI_OPTION_BOOLEAN, KIWI_OPTION_INTEGER, KIWI_OPTION_NULL, KIWI_OPTION_NUMBER,
    KIWI_OPTION_OBJECT, KIWI_OPTION_TEXT,
};
use crate::abi::c::{KiwiConfig, KiwiText};
use crate::abi::host::call::{CallError, Origin, Phase};
use crate::config::find;

/// Options that were checked, as the functions of the host read them.
pub(super) struct Checked {
    value: Value,
    json: OnceLock<String>,
}

impl Checked {
    /// These options, checked before.
    pub(super) fn new(value: &Value) -> Self {
        Self { value: value.clone(), json: OnceLock::new() }
    }

    /// As they cross.
    pub(super) fn pointer(&self) -> *const KiwiConfig {
        std::ptr::from_ref(self).cast()
    }

    pub(super) fn json(&self) -> &str {
        self.json.get_or_init(|| self.value.to_string())
    }

    pub(super) fn kind(&self, path: &str) -> Option<u32> {
        Some(match find(&self.value, path)? {
            Value::Null => KIWI_OPTION_NULL,
            Value::Bool(_) => KIWI_OPTION_BOOLEAN,
            Value::Number(number) if number.is_f64() => KIWI_OPTION_NUMBER,
            Value::Number(_) => KIWI_OPTION_INTEGER,
            Value::String(_) => KIWI_OPTION_TEXT,
            Value::Array(_) => KIWI_OPTION_ARRAY,
            Value::Object(_) => KIWI_OPTION_OBJECT,
        })
    }

    pub(super) fn integer(&self, path: &str) -> Option<i64> {
        find(&self.value, path)?.as_i64()
    }

    pub(super) fn number(&self, path: &str) -> Option<f64> {
        find(&self.value, path)?.as_f64()
    }

    pub(super) fn boolean(&self, path: &str) -> Option<bool> {
        find(&self.value, path)?.as_bool()
    }

    pub(super) fn text(&self, path: &str) -> Option<KiwiText> {
        find(&self.value, path)?.as_str().map(lend::text)
    }

    pub(super) fn length(&self, path: &str) -> Option<usize> {
        find(&self.value, path)?.as_array().map(Vec::len)
    }
}

impl Component {
    /// JSON Schema of its options.
    pub(in crate::abi::host) fn schema(&self, origin: &Origin) -> Result<Value, CallError> {
        let mut schema = serde_json::from_str(self.schema)
            .map_err(|error| CallError::new(origin, Phase::Schema, format!("not JSON: {error}")))?;
        crate::config::close(&mut schema);
        Ok(schema)
    }

    /// Checks options and fills their defaults in.
    #[cfg(feature = "host")]
    pub(in crate::abi::host) fn check(
        &self,
        origin: &Origin,
        config: &Value,
    ) -> Result<ConfigReport, CallError> {
        let options = self.options.get_or_init(|| crate::config::Options::new(self.schema));
        let options = options.as_ref().map_err(|why| CallError::new(origin, Phase::Schema, why.as_str()))?;
        options.check(config, |filled, report| {
            let Some(check) = self.check else { return Ok(()) };
            let filled = Checked::new(filled);
            // SAFETY: the function is one of the component's table, and what it is given lives until it returns.
            let results = call(origin, Phase::Check, |call| unsafe { check(call, filled.pointer()) })?;
            *report = results.report;
            Ok(())
        })
    }

    /// Without what checks by a schema, nothing can be told of options.
    #[cfg(not(feature = "host"))]
    pub(in crate::abi::host) fn check(
        &self,
        origin: &Origin,
        _config: &Value,
    ) -> Result<ConfigReport, CallError> {
        let why = "options of a component in plain C are checked by kiwi-plugin-api with its feature `host`, which this build lacks";
        Err(CallError::new(origin, Phase::Check, why))
    }
}
