//! What lists are asked for.

use serde::{Deserialize, Serialize};

use super::{AuditFilter, Role, TaskStatus, Timestamp};

/// Which accounts a list shows, and which page of it: the query of `GET /admin/users`. The default is the newest accounts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(default, deny_unknown_fields)]
pub struct ListUsers {
    /// Only those of this role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Only those that are, or are not, disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// Only those whose address or name has this in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// The `next_cursor` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The most accounts on the page: 1 to 200, 50 where none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Which tasks a list shows, and which page of it: the query of `GET /tasks`. The default is the newest tasks of any kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(default, deny_unknown_fields)]
pub struct ListTasks {
    /// Only tasks that stand so, all where there is none. Names with commas between.
    #[serde(skip_serializing_if = "Vec::is_empty", with = "statuses")]
    #[cfg_attr(feature = "openapi", param(style = Form, explode = false))]
    pub status: Vec<TaskStatus>,
    /// Only tasks of this template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Only tasks with this text in the part of their goal that lists show, whatever the case of its letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// Only tasks submitted then or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_after: Option<Timestamp>,
    /// Only tasks submitted before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_before: Option<Timestamp>,
    /// The `next_cursor` of the page before. It is a place among all tasks, so the filter may be another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The most tasks on the page: 1 to 200, 50 where none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Which entries of the audit log a list shows, and which page of it. The default is the newest entries of any kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListAudit {
    /// Which entries.
    pub filter: AuditFilter,
    /// The `next_cursor` of the page before. It is a place among all entries, so the filter may be another one.
    pub cursor: Option<String>,
    /// The most entries on the page: 1 to 200, 50 where none is given.
    pub limit: Option<u32>,
}

/// Which open questions a list shows, and which page of it: the query of `GET /approvals`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(default, deny_unknown_fields)]
pub struct ListApprovals {
    /// Those of everybody's tasks, for administrators.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// The `next_cursor` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The most questions on the page: 1 to 200, 50 where none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Several names in one parameter: a query knows no lists.
mod statuses {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::TaskStatus;

    pub(super) fn serialize<S: Serializer>(statuses: &[TaskStatus], serializer: S) -> Result<S::Ok, S::Error> {
        let names: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
        serializer.serialize_str(&names.join(","))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<TaskStatus>, D::Error> {
        let names = String::deserialize(deserializer)?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        names.split(',').map(|name| name.parse().map_err(D::Error::custom)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_statuses_are_one_parameter() {
        let query = ListTasks { status: vec![TaskStatus::Failed, TaskStatus::Cancelled], ..ListTasks::default() };
        let json = serde_json::to_string(&query).unwrap();
        assert_eq!(json, r#"{"status":"failed,cancelled"}"#);
        assert_eq!(serde_json::from_str::<ListTasks>(&json).unwrap(), query);
        assert_eq!(serde_json::from_str::<ListTasks>(r#"{"status":""}"#).unwrap(), ListTasks::default());
        let error = serde_json::from_str::<ListTasks>(r#"{"status":"failed,done"}"#).unwrap_err().to_string();
        assert!(error.starts_with("a status is one of queued, planning,"), "{error}");
    }
}
