"""When and where work runs that can wait: hours and regions under deadlines, capacity and forecast conditions."""
