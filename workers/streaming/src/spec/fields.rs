//! Which fields of an event a stream needs, each with a slot: what one pass over a record takes out of it.

/// Named fields of one level, in slot order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields {
    names: Vec<Box<str>>,
    numeric: Vec<bool>,
}

impl Fields {
    /// The slot of `name`, made on first use.
    pub(crate) fn slot(&mut self, name: &str) -> usize {
        if let Some(slot) = self.find(name) {
            return slot;
        }
        self.names.push(name.into());
        self.numeric.push(false);
        self.names.len() - 1
    }

    /// States that `slot` is calculated with, so that another type makes the event malformed.
    pub(crate) fn must_be_number(&mut self, slot: usize) {
        self.numeric[slot] = true;
    }

    /// The slot of `name`. A handful of short names: comparing beats hashing.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| &**known == name)
    }

    /// How many slots there are.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// The name of `slot`.
    pub(crate) fn name(&self, slot: usize) -> &str {
        &self.names[slot]
    }

    /// Slots that must hold a number.
    pub(crate) fn numeric(&self) -> impl Iterator<Item = usize> + '_ {
        self.numeric.iter().enumerate().filter_map(|(slot, numeric)| numeric.then_some(slot))
    }
}

/// All that is read from a record: its own fields, and those of the items of its lists.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    /// Top-level scalars.
    pub(crate) fields: Fields,
    /// Lists that are unnested, with the fields of their items.
    pub(crate) lists: Vec<(Box<str>, Fields)>,
}

impl Layout {
    /// The list called `name`, made on first use.
    pub(crate) fn list(&mut self, name: &str) -> usize {
        if let Some(at) = self.find_list(name) {
            return at;
        }
        self.lists.push((name.into(), Fields::default()));
        self.lists.len() - 1
    }

    /// The list called `name`.
    pub(crate) fn find_list(&self, name: &str) -> Option<usize> {
        self.lists.iter().position(|(known, _)| &**known == name)
    }
}
