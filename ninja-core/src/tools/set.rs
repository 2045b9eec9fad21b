//! The catalogue of tools.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Ask, CheckFile, CheckUrl, Delegate, EditFile, ListFiles, Python, ReadFile, SearchFiles, Shell, Tool, WebFetch,
    WriteFile,
};
use crate::egress::{Egress, EgressConfig};

/// Tools by name. Cheap to clone.
#[derive(Clone, Default)]
pub struct ToolSet {
    tools: BTreeMap<String, Arc<dyn Tool>>,
}

impl std::fmt::Debug for ToolSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.tools.keys()).finish()
    }
}

impl ToolSet {
    /// Returns the tools that come with Ninja; what they fetch is bounded by `egress`.
    pub fn builtin(egress: EgressConfig) -> Self {
        let egress = Arc::new(Egress::new(egress));
        let files = Self::default().with(ReadFile).with(WriteFile).with(EditFile).with(ListFiles).with(SearchFiles);
        let with_code = files.with(Shell).with(Python).with(Ask).with(Delegate);
        with_code.with(WebFetch::new(Arc::clone(&egress))).with(CheckFile).with(CheckUrl::new(egress))
    }

    /// Adds a tool. One of the same name is replaced.
    #[must_use]
    pub fn with(self, tool: impl Tool) -> Self {
        self.with_shared(Arc::new(tool))
    }

    /// Adds a tool that others hold too.
    #[must_use]
    pub fn with_shared(mut self, tool: Arc<dyn Tool>) -> Self {
        self.tools.insert(tool.definition().name, tool);
        self
    }

    /// Returns a tool.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        self.tools.get(name)
    }

    /// Returns the names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tools.keys().map(String::as_str)
    }

    /// Returns the tools in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Tool>> {
        self.tools.values()
    }
}
